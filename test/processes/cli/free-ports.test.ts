/** Ports for nodes: no two processes have the same, and the system gives them to nothing else. */
import { assert, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { promisify } from "node:util"
import { findPorts } from "../../../src/cli/launch/FreePorts.ts"

const host = "127.0.0.1"

it("finds different ports below those that the system gives away", async () => {
  const all = [...await findPorts(5), ...await findPorts(5)]
  assert.strictEqual(new Set(all).size, 10)
  const [begin = 0] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").trim().split(/\s+/).map(Number)
  if (begin > 11_000) assert.isBelow(Math.max(...all), begin)
})

it("leaves out a port that another process holds for a node that does not run", async () => {
  const [port = 0] = await findPorts(1)
  const other = createSocket("udp4")
  other.bind({ port: port + 1, address: host, exclusive: true })
  await once(other, "listening")
  try {
    const [next = 0] = await findPorts(1)
    assert.notStrictEqual(next, port + 1)
  } finally {
    other.close()
  }
})

it("holds its ports until it ends, and no longer", async () => {
  const program = new URL("../../../src/cli/launch/FreePorts.ts", import.meta.url).href
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--input-type=module",
    "--eval",
    `import { findPorts } from ${JSON.stringify(program)}; console.log((await findPorts(1))[0])`
  ])
  const socket = createSocket("udp4")
  socket.bind({ port: Number(stdout), address: host, exclusive: true })
  await once(socket, "listening")
  socket.close()

  const [port = 0] = await findPorts(1)
  const late = createSocket("udp4")
  late.bind({ port, address: host, exclusive: true })
  const [error] = await once(late, "error") as [NodeJS.ErrnoException]
  late.close()
  assert.strictEqual(error.code, "EADDRINUSE")
})

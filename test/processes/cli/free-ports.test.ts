/** Ports for nodes: no two processes have the same, and the system gives them to nothing else. */
import { assert, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer } from "node:net"
import { promisify } from "node:util"
import { findPorts } from "../../../src/cli/launch/FreePorts.ts"

const host = "127.0.0.1"
const program = new URL("../../../src/cli/launch/FreePorts.ts", import.meta.url).href

/** Holds the port that is looked at next, as another process does. It may be that of another test: then a later one. */
const holdNext = async (): Promise<ReturnType<typeof createSocket>> => {
  const [last = 0] = await findPorts(1)
  const socket = createSocket("udp4")
  socket.bind({ port: last + 1, address: host, exclusive: true })
  return await once(socket, "listening").then(() => socket, holdNext)
}

it("finds different ports below those that the system gives away", async () => {
  const all = [...await findPorts(5), ...await findPorts(5)]
  assert.strictEqual(new Set(all).size, 10)
  const [begin = 0] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").trim().split(/\s+/).map(Number)
  if (begin > 11_000) assert.isBelow(Math.max(...all), begin)
})

it("leaves out a port that another process holds for a node that does not run", async () => {
  const other = await holdNext()
  try {
    assert.notStrictEqual((await findPorts(1))[0], other.address().port)
  } finally {
    other.close()
  }
})

it("holds its ports until it ends, and no longer", async () => {
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

it("gives back what it held of a port on which something listens", async () => {
  const other = await holdNext()
  const { port } = other.address()
  const server = createServer().listen({ port, host, exclusive: true })
  await once(server, "listening")
  other.close()
  try {
    assert.notStrictEqual((await findPorts(1))[0], port)
    const socket = createSocket("udp4")
    socket.bind({ port, address: host, exclusive: true })
    await once(socket, "listening")
    socket.close()
  } finally {
    server.close()
  }
})

it("says what keeps it from looking, and not that all ports are taken", async () => {
  const code = `import { findPorts } from ${JSON.stringify(program)};` +
    "await findPorts(100).catch(({ message }) => console.log(message))"
  const limited = `ulimit -n 64; exec '${process.execPath}' --input-type=module --eval '${code}'`
  const { stdout } = await promisify(execFile)("sh", ["-c", limited])
  assert.match(stdout, /EMFILE/)
})

/**
 * Ports for nodes that come and go. The system gives the ports of its own range to whoever connects or listens on port 0,
 * also to a proxy of the same run, and also while a node is down; so these lie below that range.
 */
import { readFileSync } from "node:fs"
import { createServer } from "node:net"

const lowest = 10_000

/** Where the system's own range begins; its usual beginning on Linux where it does not say. */
const systemRangeStart = (): number => {
  try {
    return Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").trim().split(/\s+/)[0])
  } catch {
    return 32_768
  }
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(false))
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
  })

/** `count` different ports on which nobody listens. Not drawn from the seed: two runs at once must not draw the same. */
export const quietPorts = async (count: number): Promise<ReadonlyArray<number>> => {
  const end = systemRangeStart()
  if (end - lowest < 1_000) throw new Error(`the system gives away every port from ${end} on: none are left for nodes`)
  const found = new Set<number>()
  for (let tries = 0; found.size < count; tries++) {
    if (tries > 1_000) throw new Error(`${count} free ports between ${lowest} and ${end} could not be found`)
    const port = lowest + Math.floor(Math.random() * (end - lowest))
    if (!found.has(port) && await isFree(port)) found.add(port)
  }
  return [...found]
}

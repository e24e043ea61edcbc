/**
 * Ports for nodes that this process starts: free ones, which stay its own until it ends.
 *
 * They lie below those that the system gives to outgoing connections and to port 0. It could give such a port away
 * before a node listens on it, and each time that the node is down. Meanwhile this process holds the UDP port of the
 * same number, which no node uses: other processes that look here see it, and the system gives it back.
 */
import { createSocket } from "node:dgram"
import { readFileSync } from "node:fs"
import { createServer } from "node:net"
import { errorCode } from "../../ErrorCode.ts"

const host = "127.0.0.1"
const first = 10_000
/** Fewer than this below the system's own are too few to look among. */
const fewest = 1_000
/** Where the system's own usually begin on Linux; elsewhere they begin higher. */
const usualEnd = 32_768

/** The first port that is not looked at. */
const end = (): number => {
  try {
    const [begin] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").trim().split(/\s+/)
    // A system that gives away all of them leaves nothing better than those that it seldom gives.
    return Number(begin) >= first + fewest ? Number(begin) : usualEnd
  } catch {
    return usualEnd
  }
}

type Claim = ReturnType<typeof createSocket>

/** Held for as long as the process lives; a socket that nothing refers to would be closed. */
const claims: Array<Claim> = []

/** A port in use is one of many. What else there is, such as no descriptor left, holds for the next one too. */
const isTaken = (error: Error): boolean => errorCode(error) === "EADDRINUSE" || errorCode(error) === "EACCES"

/** Takes the UDP port of the number, unless it is taken. */
const claim = (port: number): Promise<Claim | undefined> =>
  new Promise((resolve, reject) => {
    const socket = createSocket("udp4")
    socket.once("error", (error) => socket.close(() => isTaken(error) ? resolve(undefined) : reject(error)))
    socket.bind({ port, address: host, exclusive: true }, () => {
      socket.unref()
      resolve(socket)
    })
  })

/** Whether a server can listen on the port. */
const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", (error) => isTaken(error) ? resolve(false) : reject(error))
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)))
  })

/** Takes the port, unless anything has it. */
const take = async (port: number): Promise<boolean> => {
  const socket = await claim(port)
  if (socket === undefined) return false
  const free = await isFree(port)
  if (free) claims.push(socket)
  else socket.close()
  return free
}

/** How far this process has looked. Processes begin in different places, so that they seldom meet. */
let looked = Math.floor(Math.random() * (usualEnd - first))

/** Finds `count` different ports of 127.0.0.1 on which nothing listens. */
export const findPorts = async (count: number): Promise<ReadonlyArray<number>> => {
  const found: Array<number> = []
  const among = end() - first
  for (let tried = 0; found.length < count; tried++) {
    if (tried === among) throw new Error(`fewer than ${count} ports from ${first} to ${first + among} are free`)
    const port = first + looked++ % among
    if (await take(port)) found.push(port)
  }
  return found
}

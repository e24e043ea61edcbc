/**
 * One process of `Strangers.ts`: carries out the share that its argument holds, prints its report as JSON, and ends. It
 * ends early when its standard input does, so that it does not outlive a run that is killed.
 */
import { randomBytes, randomInt } from "node:crypto"
import type { Socket } from "node:net"
import { connect } from "node:net"
import { setTimeout as wait } from "node:timers/promises"
import type { PortKind, StrangersPort, StrangersReport, StrangersShare } from "./Strangers.ts"
import { portKinds } from "./Strangers.ts"

const share = JSON.parse(process.argv[2] as string) as StrangersShare

process.stdin.on("close", () => process.exit(1)).resume()

const zero = (): Record<PortKind, number> => ({ client: 0, peer: 0, http: 0 })
const talkingEnded = zero()
const silentEnded = zero()
/** Talking connections that have begun. */
const begunAt = zero()
let unmade = 0
let open = 0

/** The first byte of a TLS record that carries a handshake. */
const handshakeRecord = 0x16

/** Bytes at random that do not look like a record. */
const noise = (): Uint8Array => {
  const bytes = randomBytes(1 + randomInt(64))
  if (bytes[0] === handshakeRecord) bytes[0] = 0
  return bytes
}

/** A whole record that says it carries a handshake, with bytes at random in it. */
const falseRecord = (): Uint8Array => {
  const content = randomBytes(16 + randomInt(48))
  // No message of a handshake has this type.
  content[0] = 0xff
  return Buffer.concat([Uint8Array.of(handshakeRecord, 3, 1, 0, content.byteLength), content])
}

const openings: ReadonlyArray<() => Uint8Array> = [
  () => Buffer.from("hello, is anybody there?\r\n\r\n"),
  () => new Uint8Array(1 + randomInt(64)),
  noise,
  falseRecord
]

/** Connects, sends `bytes` if there are any, and waits until the node has ended the connection. */
const visit = ({ host, port }: StrangersPort, bytes: Uint8Array | undefined): Promise<boolean> =>
  new Promise((resolve) => {
    let made = false
    const socket: Socket = connect({ host, port, localAddress: share.from })
    socket.once("connect", () => {
      made = true
      if (bytes !== undefined) socket.write(bytes)
    })
    // A reset is an end, too.
    socket.on("error", () => undefined)
    socket.once("close", () => resolve(made))
    socket.resume()
  })

const portsOf = (kind: PortKind): ReadonlyArray<StrangersPort> => share.ports.filter((port) => port.kind === kind)

/** The ports of all connections, kinds mixed as evenly as it goes. */
const schedule = (counts: Readonly<Record<PortKind, number>>): ReadonlyArray<StrangersPort> =>
  portKinds
    .flatMap((kind) => {
      const ports = portsOf(kind)
      return Array.from({ length: counts[kind] }, (_, i) => ({
        at: (i + 0.5) / counts[kind],
        port: ports[i % ports.length] as StrangersPort
      }))
    })
    .sort((a, b) => a.at - b.at)
    .map(({ port }) => port)

const silent = async (port: StrangersPort): Promise<void> => {
  if (await visit(port, undefined)) silentEnded[port.kind] += 1
  else unmade += 1
}

const talking = async (port: StrangersPort): Promise<void> => {
  open += 1
  const opening = openings[begunAt[port.kind]++ % openings.length] as () => Uint8Array
  if (await visit(port, opening())) talkingEnded[port.kind] += 1
  else unmade += 1
  open -= 1
}

/** How often new connections begin, in milliseconds. */
const tickMs = 10

const waiting: Array<Promise<void>> = schedule(share.silent).map(silent)
const begunMs = performance.now()
let begun = 0
for (const port of schedule(share.talking)) {
  while (open >= share.maxOpen || begun >= (performance.now() - begunMs) / 1_000 * share.perSecond) await wait(tickMs)
  waiting.push(talking(port))
  begun += 1
}
await Promise.all(waiting)
process.stdout.write(JSON.stringify({ talkingEnded, silentEnded, unmade } satisfies StrangersReport), () => {
  process.exit(0)
})

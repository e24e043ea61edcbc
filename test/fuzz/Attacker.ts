/**
 * The process that attacks: `node Attacker.ts '{"port":"peer","targets":[…],"frames":1000,"rate":4000,"seed":1}'`.
 * Prints one JSON line when it is done. A few connections at a time, each with some dozens of mutated calls, ended in
 * good order or not.
 */
import type { Socket } from "node:net"
import { connect } from "node:net"
import { setTimeout as wait } from "node:timers/promises"
import { CodecError } from "../../src/bytes/CodecError.ts"
import { decodeMessages } from "../../src/protocol/MessageBatch.ts"
import { Random } from "../simulation/Random.ts"
import type { Port, Sample } from "./Corpus.ts"
import { samples } from "./Corpus.ts"
import { payloadsOf } from "../wire/Frames.ts"
import { mutate } from "./Mutation.ts"

export interface Order {
  readonly port: Port
  readonly clusterId: string
  readonly targets: ReadonlyArray<{ readonly id: number; readonly host: string; readonly port: number }>
  readonly frames: number
  /** Frames a second, over all connections. */
  readonly rate: number
  readonly seed: number
}

export interface Report {
  readonly frames: number
  readonly bytes: number
  readonly connections: number
  /**
   * Frames left out, because they were what a node says: only TLS tells a forged message that is right from a real one.
   */
  readonly forged: number
}

const connectionsAtATime = 8

/** Milliseconds to wait for a connection or for the end of one. */
const patienceMs = 5_000

/** A term that follows the one a node has is believed, as it must be; no mutation is to begin an election by luck. */
const isForged = (call: Uint8Array): boolean =>
  payloadsOf(call).some((payload) => {
    // Behind the head of the only field, which a mutation may have made a little longer or shorter.
    for (let at = 0; at <= 16; at++) {
      const messages = decodeMessages(payload.subarray(at))
      if (!(messages instanceof CodecError) && messages.some(({ term }) => term > 0)) return true
    }
    return false
  })

const open = (host: string, port: number): Promise<Socket | undefined> =>
  new Promise((resolve) => {
    const socket = connect(port, host)
    const done = (opened: Socket | undefined) => {
      clearTimeout(timer)
      resolve(opened)
    }
    const timer = setTimeout(() => {
      socket.destroy()
      done(undefined)
    }, patienceMs)
    socket.on("error", () => undefined)
    socket.once("close", () => done(undefined))
    socket.once("connect", () => done(socket))
    // What is answered is of no interest.
    socket.resume()
  })

/** Waits until the other side has taken what was said, or has gone. */
const said = (socket: Socket, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      resolve()
    }
    const timer = setTimeout(done, patienceMs)
    socket.once("close", done)
    socket.write(bytes, done)
  })

export const attack = async (order: Order): Promise<Report> => {
  const random = new Random(order.seed)
  const report = { frames: 0, bytes: 0, connections: 0, forged: 0 }
  const startedMs = performance.now()
  const all = new Map(order.targets.map(({ id }) => [id, samples(order.port, order.clusterId, id)]))

  const lineFor = (choices: ReadonlyArray<Sample>): { readonly bytes: Uint8Array; readonly frames: number } => {
    const first = random.pick(choices)
    const calls: Array<Uint8Array> = [random.chance(0.9) ? first.before : new Uint8Array(0)]
    const wanted = 20 + random.below(80)
    let frames = 0
    while (frames < wanted) {
      const sample = random.pick(choices)
      const call = mutate(random, sample.call, random.pick(choices).call)
      if (order.port === "peer" && isForged(call)) {
        report.forged += 1
        continue
      }
      calls.push(call)
      frames += 1
    }
    return { bytes: Buffer.concat(calls), frames }
  }

  const worker = async (): Promise<void> => {
    while (report.frames < order.frames) {
      const aheadMs = report.frames / order.rate * 1_000 - (performance.now() - startedMs)
      if (aheadMs > 0) await wait(aheadMs)
      const target = random.pick(order.targets)
      const { bytes, frames } = lineFor(all.get(target.id) as ReadonlyArray<Sample>)
      const socket = await open(target.host, target.port)
      if (socket === undefined) continue
      await said(socket, bytes)
      report.connections += 1
      report.frames += frames
      report.bytes += bytes.length
      if (random.chance(0.5)) socket.resetAndDestroy()
      else socket.destroySoon()
    }
  }
  await Promise.all(Array.from({ length: connectionsAtATime }, worker))
  return report
}

if (import.meta.main) console.log(JSON.stringify(await attack(JSON.parse(process.argv[2] as string) as Order)))

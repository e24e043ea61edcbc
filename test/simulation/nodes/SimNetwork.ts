/**
 * The network between the nodes of a simulation: it delays, loses, repeats, reorders, and can be cut in each direction.
 */
import type { Effect, Exit } from "effect"
import { Queue } from "effect"
import type { Heartbeat, Message } from "../../../src/raft/Message.ts"
import type { NodeId } from "../../../src/raft/Types.ts"
import type { Receivers } from "../../../src/transport/memory/Receivers.ts"
import type { Random } from "../Random.ts"
import { Links } from "../engine/Links.ts"
import { TermFlips } from "../engine/TermFlips.ts"
import type { SimProcess } from "../engine/SimProcess.ts"
import type { Timeline } from "../engine/Timeline.ts"

export interface NetworkFaults {
  readonly drop: number
  readonly duplicate: number
  /** How likely a message overtakes those before it, or comes much later than they. */
  readonly reorder: number
  /** Milliseconds a message takes, evenly drawn. */
  readonly delayMs: readonly [minimum: number, maximum: number]
  /** How likely a bit of a snapshot's chunk flips in flight. */
  readonly flip: number
}

export const noFaults: NetworkFaults = { drop: 0, duplicate: 0, reorder: 0, delayMs: [1, 2], flip: 0 }

/** Where a node takes its messages. */
export interface Endpoint extends Receivers {
  readonly process: SimProcess
  /** The highest feature level that the process knows. */
  readonly known: number
  /** The feature level that it demands of its peers. */
  required: number
  readonly lost: Queue.Queue<NodeId>
  /** Runs an effect in the node's process. */
  readonly run: <A, E>(effect: Effect.Effect<A, E>, done: (exit: Exit.Exit<A, E>) => void) => void
}

/** Whether two processes take anything of each other, by what they say of feature levels when they connect. */
const speak = (one: Endpoint, other: Endpoint): boolean => one.known >= other.required && other.known >= one.required

export class SimNetwork extends Links {
  faults: NetworkFaults
  private readonly endpoints = new Map<NodeId, Endpoint>()
  /** Nodes whose process is suspended for so long that their connections broke. */
  private readonly suspended = new Set<NodeId>()
  /** Told when a node is gone. */
  private readonly connections = new Set<{ readonly from: NodeId; readonly end: () => void }>()
  /** When the last message of a link arrives, so that the next one comes after it. */
  private readonly lastArrival = new Map<number, number>()
  /** The last heartbeat on each link, whatever became of it. */
  private readonly heartbeats = new Map<number, Heartbeat>()
  /** Until when what a node sent is lost, in milliseconds. */
  private readonly lostBefore = new Map<NodeId, number>()
  private readonly random: Random
  private readonly flips: TermFlips
  private readonly timeline: Timeline

  constructor(random: Random, timeline: Timeline, faults: NetworkFaults, flips = new TermFlips(0)) {
    super()
    this.flips = flips
    this.random = random
    this.timeline = timeline
    this.faults = faults
  }

  attach(node: NodeId, endpoint: Endpoint): void {
    this.endpoints.set(node, endpoint)
  }

  /** The process behind an endpoint ended: its peers notice. */
  detach(node: NodeId): void {
    this.suspended.delete(node)
    if (!this.endpoints.delete(node)) return
    for (const other of this.endpoints.keys()) this.tellLost(other, node)
    for (const connection of this.connections) if (connection.from === node) connection.end()
  }

  /** The process of a node is stopped for long: what is sent to it is lost, and its peers notice that links break. */
  suspend(node: NodeId): void {
    if (!this.endpoints.has(node)) return
    this.suspended.add(node)
    for (const other of this.endpoints.keys()) if (other !== node) this.tellLost(other, node)
    for (const connection of this.connections) if (connection.from === node) connection.end()
  }

  /** The process goes on, and finds its links broken. */
  wake(node: NodeId): void {
    if (!this.suspended.delete(node)) return
    for (const other of this.endpoints.keys()) if (other !== node) this.tellLost(node, other)
  }

  /** What a node finds at another one now; `undefined` when the way there is cut, or no process is there. */
  endpoint(from: NodeId, to: NodeId): Endpoint | undefined {
    if (this.suspended.has(to) || this.isCut(from, to) || this.isCut(to, from)) return undefined
    const sender = this.endpoints.get(from)
    const receiver = this.endpoints.get(to)
    return sender !== undefined && receiver !== undefined && !speak(sender, receiver) ? undefined : receiver
  }

  /** The nodes whose processes are connected to a node, with the highest feature level that each knows. */
  peers(node: NodeId): ReadonlyMap<NodeId, number> {
    const peers = new Map<NodeId, number>()
    for (const id of this.endpoints.keys()) {
      const known = id === node ? undefined : this.endpoint(node, id)?.known
      if (known !== undefined) peers.set(id, known)
    }
    return peers
  }

  /** Ends a connection when the process at its beginning does. */
  watchConnection(connection: { readonly from: NodeId; readonly end: () => void }): () => void {
    this.connections.add(connection)
    return () => this.connections.delete(connection)
  }

  /** A node closes the connection of a peer, which notices. */
  closeFor(by: NodeId, peer: NodeId): void {
    this.tellLost(peer, by)
  }

  private tellLost(node: NodeId, peer: NodeId): void {
    const endpoint = this.endpoints.get(node)
    if (endpoint === undefined) return
    this.timeline.after(1 + this.random.below(20), () =>
      endpoint.process.enter(() => {
        Queue.offerUnsafe(endpoint.lost, peer)
      }))
  }

  override cut(from: NodeId, to: NodeId): void {
    super.cut(from, to)
    if (this.random.chance(0.5)) this.tellLost(from, to)
  }

  /** Messages of one turn of a node. Those for one peer travel together, unless chance parts them. */
  send(messages: ReadonlyArray<Message>): void {
    let batch: Array<Message> = []
    for (let at = 0; at < messages.length; at++) {
      const message = messages[at] as Message
      batch.push(copyOf(message))
      if (message._tag === "Heartbeat") this.heartbeats.set(message.from * 10 + message.to, message)
      if (messages[at + 1]?.to === message.to && !this.random.chance(this.faults.reorder)) continue
      this.sendBatch(message.from, message.to, batch)
      batch = []
    }
  }

  private sendBatch(from: NodeId, to: NodeId, batch: ReadonlyArray<Message>): void {
    const { faults, random } = this
    if (this.isCut(from, to) || random.chance(faults.drop)) return
    const sender = this.endpoints.get(from)
    const receiver = this.endpoints.get(to)
    if (sender === undefined || (receiver !== undefined && !speak(sender, receiver))) return
    const copies = random.chance(faults.duplicate) ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      const [least, most] = faults.delayMs
      let delayMs = least + random.next() * (most - least)
      const link = from * 10 + to
      if (random.chance(faults.reorder)) delayMs += random.chance(0.1) ? random.below(1_000) : random.below(30)
      else {
        delayMs = Math.max(delayMs, (this.lastArrival.get(link) ?? 0) - this.timeline.nowMs)
        this.lastArrival.set(link, this.timeline.nowMs + delayMs)
      }
      const sentMs = this.timeline.nowMs
      this.timeline.after(delayMs, () => {
        if (sentMs > (this.lostBefore.get(from) ?? -1)) this.deliver(sender, from, to, batch)
      })
    }
  }

  /** The last heartbeat that a node sent to another. */
  heartbeat(from: NodeId, to: NodeId): Heartbeat | undefined {
    return this.heartbeats.get(from * 10 + to)
  }

  /** What a node has sent and was not received yet is lost. */
  lose(node: NodeId): void {
    this.lostBefore.set(node, this.timeline.nowMs)
  }

  private deliver(sender: Endpoint, from: NodeId, to: NodeId, batch: ReadonlyArray<Message>): void {
    const endpoint = this.endpoints.get(to)
    if (endpoint === undefined || sender.known < endpoint.required || this.suspended.has(to) || this.isCut(from, to)) {
      return
    }
    endpoint.process.enter(() => {
      endpoint.receiver?.({
        messages: batch.map((message) => this.flips.pass(message)),
        connection: from
      })
    })
  }
}

/** Nodes share nothing: what one changes in its entries later must not reach another. */
const copyOf = (message: Message): Message =>
  message._tag === "AppendRequest" && message.entries.length > 0
    ? { ...message, entries: message.entries.map((entry) => ({ ...entry })) }
    : message

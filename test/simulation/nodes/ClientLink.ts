/**
 * The node that a client of a simulated cluster calls: it keeps to one until that says who leads, or does not answer.
 */
import type { Exit } from "effect"
import type { ReadError, WriteError } from "../../../src/FlareDbError.ts"
import type { CommandReply } from "../../../src/kv/model/Reply.ts"
import { decodeReply } from "../../../src/kv/model/ReplyCodec.ts"
import type { ClientWorld } from "./ClientWorld.ts"
import type { SimNode } from "./SimNode.ts"

/** What a client knows of a command that it sent. */
export type Outcome =
  | { readonly _tag: "Answered"; readonly reply: CommandReply }
  /** Not appended, and never will be. */
  | { readonly _tag: "Refused" }
  /** The same, however often it is sent, as long as the cluster is what it is. */
  | { readonly _tag: "Invalid" }
  | { readonly _tag: "Unknown" }

/** The outcome of a command, and its reply when it has one. */
export type Answer = readonly [outcome: Outcome, reply?: Uint8Array]

export interface Named {
  readonly name: string
  readonly bytes: Uint8Array
}

/** After this a client no longer waits. */
const patienceMs = 700

export class ClientLink {
  private readonly world: ClientWorld
  target: SimNode

  constructor(world: ClientWorld) {
    this.world = world
    this.target = world.random.pick(world.nodes)
  }

  send(encoded: Uint8Array, name: string, done: (outcome: Outcome, reply?: Uint8Array) => void): void {
    this.sendAll([{ bytes: encoded, name }], ([answer]) => done(...answer as Answer))
  }

  /** Sends commands in one call. Each has its own outcome, and none may be left out. */
  sendAll(commands: ReadonlyArray<Named>, done: (answers: ReadonlyArray<Answer>) => void): void {
    const node = this.target
    this.call<ReadonlyArray<Uint8Array | WriteError>>(
      node,
      commands.map(({ name }) => name).join(", "),
      (running) => running.node.propose(commands.map(({ bytes }) => bytes)),
      (results) => {
        if (results !== undefined && results.length !== commands.length) throw new Error("a command has no result")
        done(commands.map(({ name }, at) => this.outcomeOf(node, name, results?.[at])))
      }
    )
  }

  private outcomeOf(node: SimNode, name: string, result: Uint8Array | WriteError | undefined): Answer {
    const { probes, trace } = this.world
    if (result === undefined) {
      trace?.(`${name} at n${node.id}: no answer`)
      return [{ _tag: "Unknown" }]
    }
    if (result instanceof Uint8Array) {
      const reply = decodeReply(result)
      if (reply._tag === "Problem") throw new Error(`the reply to ${name}: ${reply.problem}`)
      trace?.(`${name} at n${node.id}: ${reply._tag} at revision ${reply.revision}`)
      return [{ _tag: "Answered", reply: reply as CommandReply }, result]
    }
    trace?.(`${name} at n${node.id}: ${result._tag}`)
    this.follow(result)
    if (result._tag === "InvalidArgument") return [{ _tag: "Invalid" }]
    const refused = result._tag === "NotLeader" || result._tag === "Overloaded"
    if (refused) probes.hit("a write was refused")
    if (result._tag === "Overloaded") probes.hit("a write was refused as overloaded")
    return [{ _tag: refused ? "Refused" : "Unknown" }]
  }

  follow(error: WriteError | ReadError): void {
    const { nodes, random } = this.world
    const leader = error._tag === "NotLeader" ? error.leaderId : undefined
    this.target = nodes.find(({ id }) => id === leader) ?? random.pick(nodes)
  }

  /** Calls a node. `undefined` when there was no answer in time, or no node to ask. */
  call<A>(
    node: SimNode,
    name: string,
    begin: (running: NonNullable<SimNode["running"]>) => Parameters<SimNode["run"]>[0],
    done: (result: A | undefined) => void
  ): void {
    const { random, timeline, trace } = this.world
    const { process, running } = node
    trace?.(`${name} → n${node.id}`)
    let open = true
    const finish = (result: A | undefined): void => {
      if (!open) return
      open = false
      if (result === undefined) this.target = random.pick(this.world.nodes)
      done(result)
    }
    if (process === undefined || running === undefined) {
      timeline.after(5, () => finish(undefined))
      return
    }
    timeline.after(patienceMs, () => finish(undefined))
    process.enter(() =>
      node.run(begin(running), (exit) => {
        if (process.isGone) return
        if (exit._tag === "Failure") throw new Error(`${name} at n${node.id} died: ${String(exit.cause)}`)
        finish((exit as Exit.Success<A>).value)
      })
    )
  }
}

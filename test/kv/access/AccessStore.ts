/** The key-value machine on a disk in memory, with what the client port asks of it. */
import { assert } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as KvStateMachine from "../../../src/kv/KvStateMachine.ts"
import type { Command, CommandId } from "../../../src/kv/model/Command.ts"
import { decodeCommand, encodeCommand } from "../../../src/kv/model/Command.ts"
import type { Query } from "../../../src/kv/model/Query.ts"
import { encodeQuery } from "../../../src/kv/model/Query.ts"
import type { Reply } from "../../../src/kv/model/Reply.ts"
import { decodeReply } from "../../../src/kv/model/ReplyCodec.ts"
import type { Caller } from "../../../src/machine/Caller.ts"
import type { MachineAccess } from "../../../src/machine/MachineAccess.ts"
import { StateMachine } from "../../../src/machine/StateMachine.ts"
import { LogIndex, Term } from "../../../src/raft/Types.ts"
import * as MemoryStore from "../../../src/storage/memory/MemoryStore.ts"

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

export const caller = (name: string): Caller => ({ name, isNode: false })

export const node: Caller = { name: "node 1", isNode: true }

export const layerOn = (disk: MemoryStore.MemoryDisk) =>
  Layer.fresh(KvStateMachine.layer.pipe(Layer.provide(MemoryStore.layer(disk))))

/** A machine with an index that goes on. */
export class AccessStore {
  readonly machine: StateMachine["Service"]
  index = 0
  timeMs = 1_000

  constructor(machine: StateMachine["Service"]) {
    this.machine = machine
  }

  static readonly make = Effect.map(StateMachine, (machine) => new AccessStore(machine))

  get access(): MachineAccess {
    return this.machine.access ?? assert.fail("the machine says nothing of access")
  }

  /** Applies what is committed, and gives the reply. */
  applied(command: Uint8Array) {
    this.index += 1
    const entry = {
      index: LogIndex(this.index),
      term: Term(1),
      kind: "command" as const,
      timestampMs: this.timeMs,
      payload: command
    }
    return Effect.map(this.machine.apply([entry]), ([reply]) => decoded(reply))
  }

  /** As a node or an administrator does. */
  apply(command: Command, commandId?: CommandId) {
    return this.applied(encodeCommand(command, commandId))
  }

  /** What a caller gets for a command: a refusal before the log, or its reply. */
  send(who: Caller, command: Command, commandId?: CommandId) {
    return Effect.suspend((): Effect.Effect<unknown, unknown> => {
      const asked = this.access.command(who, encodeCommand(command, commandId))
      return asked instanceof Uint8Array ? this.applied(asked) : Effect.succeed(asked)
    })
  }

  /** Why a caller may not send a command, in words; `undefined` when it may. */
  refusal(who: Caller, command: Command): string | undefined {
    const asked = this.access.command(who, encodeCommand(command))
    return asked instanceof Uint8Array ? undefined : asked.message
  }

  queryRefusal(who: Caller, query: Query): string | undefined {
    return this.access.query(who, encodeQuery(query))?.message
  }

  ask(query: Query) {
    return Effect.map(this.machine.query([encodeQuery(query)]), ([reply]) => decoded(reply as Uint8Array))
  }

  readonly role = (name: string, read: ReadonlyArray<string>, write: ReadonlyArray<string>, admin = false) =>
    this.apply({ _tag: "PutRole", role: { name, read: read.map(bytes), write: write.map(bytes), admin } })

  readonly user = (name: string, roles: ReadonlyArray<string>, maxLeases = 10, maxSessions = 10) =>
    this.apply({ _tag: "PutUser", name, roles, maxLeases, maxSessions })
}

const decoded = (reply: Uint8Array | undefined): Reply => {
  const read = decodeReply(reply ?? assert.fail("no reply"))
  return read._tag === "Problem" ? assert.fail(read.problem) : read
}

/** The command that the client port is to propose. */
export const commandOf = (proposed: unknown) => {
  const decoded = decodeCommand(proposed instanceof Uint8Array ? proposed : assert.fail(String(proposed)))
  return decoded._tag === "Problem" ? assert.fail(decoded.problem) : decoded
}

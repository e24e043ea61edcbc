/** The store behind fake nodes: the real state machine, without a log. It applies what it is handed, in that order. */
import { Context, Effect, Layer } from "effect"
import type { Command } from "../../src/kv/model/Command.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import { StateMachine } from "../../src/machine/StateMachine.ts"
import { LogIndex, Term } from "../../src/raft/Types.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"
import type { Answer } from "./FakeCluster.ts"

export class FakeStore {
  /** The log's clock. */
  nowMs = 1_000
  private index = 0
  private readonly machine: StateMachine["Service"]

  private constructor(machine: StateMachine["Service"]) {
    this.machine = machine
  }

  static readonly make = Effect.suspend(() =>
    Layer.build(
      Layer.fresh(KvStateMachine.layer.pipe(Layer.provide(MemoryStore.layer(new MemoryStore.MemoryDisk([1])))))
    )
  ).pipe(Effect.map((context) => new FakeStore(Context.get(context, StateMachine))))

  /** As a leader does it: commits and applies the commands, and answers. */
  readonly carryOut = (commands: ReadonlyArray<Uint8Array>): Answer =>
    Effect.orDie(
      this.machine.apply(commands.map((payload) => ({
        index: LogIndex(++this.index),
        term: Term(1),
        kind: "command" as const,
        timestampMs: this.nowMs,
        // What a log holds must not change under it.
        payload: payload.slice()
      })))
    )

  readonly answer = (_count: number, commands: ReadonlyArray<Uint8Array>): Answer => this.carryOut(commands)

  /** Lets the time of a session pass, and ends it. */
  readonly expire = (session: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      this.nowMs += 3_600_000
      const command: Command = { _tag: "Expire", leases: [], sessions: [session] }
      return Effect.asVoid(Effect.orDie(this.carryOut([encodeCommand(command)])))
    })
}

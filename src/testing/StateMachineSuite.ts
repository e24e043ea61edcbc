/**
 * What the node relies on in a state machine: the same entries make the same rows and replies on every node, however
 * they are cut into batches, and wherever a restart or a snapshot falls between them.
 */
import { Context, Effect, Layer } from "effect"
import { StateMachine } from "../machine/StateMachine.ts"
import type { Entry } from "../raft/Types.ts"
import { LogIndex, Term } from "../raft/Types.ts"
import { MemoryDisk } from "../storage/memory/MemoryStore.ts"
import * as MemoryStore from "../storage/memory/MemoryStore.ts"
import type { StateStore } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { ConformanceCase } from "./Conformance.ts"

/** A command of the sample, and when a leader is to have appended it. */
export interface SampleCommand {
  readonly command: Uint8Array
  /** Milliseconds; best not before that of the command before it. */
  readonly stampMs: number
}

export interface StateMachineSuiteOptions {
  readonly layer: Layer.Layer<StateMachine, StorageError, StateStore>
  /** Commands that the machine accepts, a few hundred that meet each other in the state. */
  readonly commands: ReadonlyArray<SampleCommand>
  /** Queries that are answered alike by machines of the same state. */
  readonly queries: ReadonlyArray<Uint8Array>
  /** Decides where batches end. */
  readonly seed?: number
}

const ensure = (holds: boolean, problem: string): Effect.Effect<void> =>
  holds ? Effect.void : Effect.die(new Error(problem))

/** A machine that runs on a disk, until it is started again. */
class Machine {
  readonly disk = new MemoryDisk([1])
  readonly replies: Array<string> = []
  private readonly layer: StateMachineSuiteOptions["layer"]
  private running: StateMachine["Service"] | undefined

  constructor(layer: StateMachineSuiteOptions["layer"]) {
    this.layer = layer
  }

  readonly service = Effect.suspend(() => {
    if (this.running !== undefined) return Effect.succeed(this.running)
    const fresh = Layer.fresh(Layer.provide(this.layer, MemoryStore.layer(this.disk)))
    return Effect.map(Layer.build(fresh), (context) => this.running = Context.get(context, StateMachine))
  })

  readonly restart = Effect.sync(() => {
    this.running = undefined
  })

  apply(entries: ReadonlyArray<Entry>) {
    return Effect.flatMap(this.service, (service) =>
      Effect.flatMap(service.apply(entries), (replies) => {
        for (const reply of replies) this.replies.push(Buffer.from(reply).toString("hex"))
        return ensure(replies.length === entries.length, `${replies.length} replies to ${entries.length} entries`)
      }))
  }

  answers(queries: ReadonlyArray<Uint8Array>) {
    return Effect.flatMap(
      this.service,
      (service) =>
        Effect.map(
          service.query(queries),
          (answers) =>
            answers.map((answer) => answer instanceof Uint8Array ? Buffer.from(answer).toString("hex") : answer.message)
        )
    )
  }

  /** Every row, as text that can be compared. */
  get rows(): ReadonlyArray<string> {
    return [...this.disk.state.rows].map(({ key, value }) =>
      `${Buffer.from(key).toString("hex")}=${Buffer.from(value).toString("hex")}`
    )
  }
}

const same = (what: string, left: ReadonlyArray<string>, right: ReadonlyArray<string>): Effect.Effect<void> => {
  const at = left.findIndex((line, i) => line !== right[i])
  return ensure(
    at < 0 && left.length === right.length,
    at < 0
      ? `${left.length} ${what} here, ${right.length} there`
      : `${what} differ at ${at}: ${left[at]} and ${right[at]}`
  )
}

/** The promises of a state machine, over a sample of commands. */
export const stateMachineCases = (options: StateMachineSuiteOptions): ReadonlyArray<ConformanceCase> => {
  const { commands, layer, queries } = options
  let random = options.seed ?? 1
  const below = (count: number): number => {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((random / 2 ** 32) * count)
  }
  const entries: ReadonlyArray<Entry> = [
    { index: LogIndex(1), term: Term(1), kind: "noop", stampMs: 0, payload: new Uint8Array(0) },
    ...commands.map(({ command, stampMs }, i): Entry => ({
      index: LogIndex(i + 2),
      term: Term(1),
      kind: "command",
      stampMs,
      payload: command
    }))
  ]

  /** A machine that got the entries one by one. */
  const plain = Effect.gen(function*() {
    const machine = new Machine(layer)
    for (const entry of entries) yield* machine.apply([entry])
    return machine
  })

  /** Hands the entries over in batches of any size, with something between them. */
  const inBatches = Effect.fnUntraced(function*(machine: Machine, from: number, between: Effect.Effect<void>) {
    for (let next = from; next < entries.length;) {
      const batch = entries.slice(next, next + 1 + below(16))
      yield* machine.apply(batch)
      next += batch.length
      yield* between
    }
  })

  const agree = Effect.fnUntraced(function*(expected: Machine, machine: Machine) {
    yield* same("replies", expected.replies, machine.replies)
    yield* same("rows", expected.rows, machine.rows)
    yield* same("answers", yield* expected.answers(queries), yield* machine.answers(queries))
  })

  const make = (name: string, effect: ConformanceCase["effect"]): ConformanceCase => ({ name, effect })

  return [
    make(
      "every command of the sample is accepted, and changes something",
      Effect.scoped(Effect.gen(function*() {
        const machine = new Machine(layer)
        const service = yield* machine.service
        for (const { command } of commands) {
          const refusal = service.check(command)
          yield* ensure(refusal === undefined, `a command of the sample is refused: ${refusal?.message}`)
        }
        yield* ensure((yield* plain).rows.length > 0, "the sample leaves no row")
      }))
    ),
    make(
      "bytes that are no command are refused, and never thrown at",
      Effect.scoped(Effect.gen(function*() {
        const service = yield* new Machine(layer).service
        yield* ensure(service.check(new Uint8Array(0)) !== undefined, "the empty command is accepted")
        for (const { command } of commands) {
          service.check(command.subarray(0, below(command.byteLength)))
          const flipped = Uint8Array.from(command)
          const at = below(flipped.byteLength)
          flipped[at] = (flipped[at] as number) ^ (1 << below(8))
          service.check(flipped)
        }
      }))
    ),
    make(
      "entries of another node that were checked before make the same rows and replies",
      Effect.scoped(Effect.gen(function*() {
        const expected = yield* plain
        const machine = new Machine(layer)
        const service = yield* machine.service
        const broken = { ...(entries[1] as Entry), payload: new Uint8Array(0) }
        yield* ensure(
          service.check(broken.payload, "node", broken) !== undefined,
          "an entry without a command is accepted"
        )
        yield* ensure(broken.decoded === undefined, "a command is kept that was refused")
        for (let next = 0; next < entries.length;) {
          const batch = Array.from(entries.slice(next, next + 1 + below(16)), (entry): Entry => ({ ...entry }))
          for (const entry of batch) {
            const refusal = entry.kind === "noop" ? undefined : service.check(entry.payload, "node", entry)
            yield* ensure(refusal === undefined, `a command of the sample is refused in an entry: ${refusal?.message}`)
          }
          yield* machine.apply(batch)
          // The log keeps its entries, and would keep what was decoded of them.
          yield* ensure(batch.every(({ decoded }) => decoded === undefined), "a command is kept that was applied")
          next += batch.length
        }
        yield* agree(expected, machine)
      }))
    ),
    make(
      "the same entries make the same rows and replies in batches of any size",
      Effect.scoped(Effect.gen(function*() {
        const expected = yield* plain
        for (let round = 0; round < 3; round++) {
          const machine = new Machine(layer)
          yield* inBatches(machine, 0, Effect.void)
          yield* agree(expected, machine)
        }
      }))
    ),
    make(
      "a restart between two batches changes nothing",
      Effect.scoped(Effect.gen(function*() {
        const expected = yield* plain
        const machine = new Machine(layer)
        yield* inBatches(machine, 0, Effect.suspend(() => below(3) === 0 ? machine.restart : Effect.void))
        yield* agree(expected, machine)
      }))
    ),
    make(
      "the applied point moves with the entries, and is found again",
      Effect.scoped(Effect.gen(function*() {
        const machine = yield* plain
        yield* machine.restart
        const { recovered } = yield* machine.service
        yield* ensure(recovered.index === entries.length, `applied ${recovered.index} of ${entries.length}`)
      }))
    ),
    make(
      "a machine goes on from a snapshot of another one as if the state were its own",
      Effect.scoped(Effect.gen(function*() {
        const expected = yield* plain
        for (let round = 0; round < 3; round++) {
          const cut = 1 + below(entries.length - 1)
          const sender = new Machine(layer)
          for (const entry of entries.slice(0, cut)) yield* sender.apply([entry])
          // The receiver has a past of its own, which the snapshot replaces.
          const receiver = new Machine(layer)
          for (const entry of entries.slice(0, below(cut))) yield* receiver.apply([entry])
          const service = yield* receiver.service
          receiver.disk.state = sender.disk.state
          receiver.replies.splice(0, receiver.replies.length, ...sender.replies)
          yield* service.reload
          yield* inBatches(receiver, cut, Effect.void)
          yield* agree(expected, receiver)
        }
      }))
    ),
    make(
      "the clock is the latest stamp of the log, or none at all",
      Effect.scoped(Effect.gen(function*() {
        const machine = yield* plain
        const latest = entries.reduce((max, { stampMs }) => Math.max(max, stampMs), 0)
        const now = (yield* machine.service).logTimeMs()
        yield* ensure(now === latest || now === 0, `the clock says ${now}, the latest stamp is ${latest}`)
      }))
    )
  ]
}

/**
 * What the node relies on in a state machine: the same entries make the same rows and replies on every node, however
 * they are cut into batches, and wherever a restart or a snapshot falls between them.
 */
import { Context, Effect, Layer } from "effect"
import type { Caller } from "../machine/Caller.ts"
import { administrator } from "../machine/Caller.ts"
import { StateMachine } from "../machine/StateMachine.ts"
import type { Entry } from "../raft/Types.ts"
import { LogIndex, Term } from "../raft/Types.ts"
import { MemoryDisk } from "../storage/memory/MemoryStore.ts"
import * as MemoryStore from "../storage/memory/MemoryStore.ts"
import type { StateStore } from "../storage/StateStore.ts"
import type { DataDirRefused, StorageError } from "../storage/StorageError.ts"
import type { ConformanceCase } from "./Conformance.ts"

/** A command of the sample, and when a leader is to have appended it. */
export interface SampleCommand {
  readonly command: Uint8Array
  /** Milliseconds; best not before that of the command before it. */
  readonly timestampMs: number
}

/** The machine to hold against the cases, with commands and queries to try. */
export interface StateMachineSuiteOptions {
  readonly layer: Layer.Layer<StateMachine, StorageError | DataDirRefused, StateStore>
  /** Commands that the machine accepts, a few hundred that meet each other in the state. */
  readonly commands: ReadonlyArray<SampleCommand>
  /** Queries that are answered alike by machines of the same state. */
  readonly queries: ReadonlyArray<Uint8Array>
  /**
   * Callers to ask the machine about, when it says who may do what. Best one who may do a part of the sample, and one
   * who may do nothing.
   */
  readonly callers?: ReadonlyArray<Caller> | undefined
  /** Decides where batches end. */
  readonly seed?: number | undefined
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

  /** What the machine says to each of these about each command and query, as text that can be compared. */
  decisions(callers: ReadonlyArray<Caller>, commands: ReadonlyArray<Uint8Array>, queries: ReadonlyArray<Uint8Array>) {
    return Effect.map(this.service, ({ access }) =>
      access === undefined ? [] : callers.flatMap((caller) => [
        ...commands.map((command) => {
          const asked = access.command(caller, command)
          return asked instanceof Uint8Array ? Buffer.from(asked).toString("hex") : asked.message
        }),
        ...queries.map((query) => access.query(caller, query)?.message ?? "allowed")
      ]))
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
  const callers = options.callers ?? [{ name: administrator, isNode: false }, { name: "unknown", isNode: false }]
  let random = options.seed ?? 1
  const below = (count: number): number => {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((random / 2 ** 32) * count)
  }
  const entries: ReadonlyArray<Entry> = [
    { index: LogIndex(1), term: Term(1), kind: "noop", timestampMs: 0, payload: new Uint8Array(0) },
    ...commands.map(({ command, timestampMs }, i): Entry => ({
      index: LogIndex(i + 2),
      term: Term(1),
      kind: "command",
      timestampMs,
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
          service.check(broken.payload, "log", broken) !== undefined,
          "an entry without a command is accepted"
        )
        yield* ensure(broken.decoded === undefined, "a command is kept that was refused")
        for (let next = 0; next < entries.length;) {
          const batch = Array.from(entries.slice(next, next + 1 + below(16)), (entry): Entry => ({ ...entry }))
          for (const entry of batch) {
            const refusal = entry.kind === "noop" ? undefined : service.check(entry.payload, "log", entry)
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
      "administrators and nodes may send every command and query, and what is proposed for them is accepted",
      Effect.scoped(Effect.gen(function*() {
        const service = yield* (yield* plain).service
        const { access } = service
        if (access === undefined) return
        for (const caller of [{ name: administrator, isNode: false }, { name: "node 1", isNode: true }]) {
          yield* ensure(access.isValid(caller), `${caller.name} is not valid`)
          yield* ensure(access.admin(caller, "backup") === undefined, `${caller.name} may not take a backup`)
          for (const { command } of commands) {
            const asked = access.command(caller, command)
            yield* ensure(asked instanceof Uint8Array, `a command is refused: ${String(asked)}`)
            const refusal = asked instanceof Uint8Array ? service.check(asked) : undefined
            yield* ensure(refusal === undefined, `what is proposed for a caller is refused: ${refusal?.message}`)
          }
          for (const query of queries) {
            const refusal = access.query(caller, query)
            yield* ensure(refusal === undefined, `a query is refused: ${refusal?.message}`)
          }
        }
      }))
    ),
    make(
      "who may do what is the same after a restart, and in a machine that got a snapshot and the entries behind it",
      Effect.scoped(Effect.gen(function*() {
        const sample = commands.map(({ command }) => command)
        const machine = yield* plain
        const expected = yield* machine.decisions(callers, sample, queries)
        yield* machine.restart
        yield* same("decisions", expected, yield* machine.decisions(callers, sample, queries))
        const sender = new Machine(layer)
        const cut = 1 + below(entries.length - 1)
        for (const entry of entries.slice(0, cut)) yield* sender.apply([entry])
        const receiver = new Machine(layer)
        const service = yield* receiver.service
        receiver.disk.state = sender.disk.state
        yield* service.reload
        yield* inBatches(receiver, cut, Effect.void)
        yield* same("decisions", expected, yield* receiver.decisions(callers, sample, queries))
      }))
    ),
    make(
      "bytes that are no command or query are never let through by a question about their caller",
      Effect.scoped(Effect.gen(function*() {
        const service = yield* (yield* plain).service
        const { access } = service
        if (access === undefined) return
        for (const caller of callers) {
          for (const bytes of [...commands.map(({ command }) => command), ...queries]) {
            const flipped = Uint8Array.from(bytes.subarray(0, 1 + below(bytes.byteLength)))
            const at = below(flipped.byteLength)
            flipped[at] = (flipped[at] as number) ^ (1 << below(8))
            const asked = access.command(caller, flipped)
            access.query(caller, flipped)
            access.describeCommand(flipped)
            access.describeQuery(flipped)
            // Whatever comes back is checked like any command; that it was asked about must not change the answer.
            if (asked !== flipped) continue
            const first = service.check(flipped)
            yield* ensure(
              (first === undefined) === (service.check(Uint8Array.from(flipped)) === undefined),
              "a command is accepted because it was asked about"
            )
          }
        }
      }))
    ),
    make(
      "the clock is the latest timestamp of the log, or none at all",
      Effect.scoped(Effect.gen(function*() {
        const machine = yield* plain
        const latest = entries.reduce((max, { timestampMs }) => Math.max(max, timestampMs), 0)
        const now = (yield* machine.service).logTimeMs()
        yield* ensure(now === latest || now === 0, `the clock says ${now}, the latest timestamp is ${latest}`)
      }))
    )
  ]
}

/**
 * The feature level of the cluster that this node belongs to (`protocol/FeatureLevel.ts`), beside the state machine
 * that the node runs. {@link layer} wraps the machine: entries that raise the level are applied here and reach no
 * machine, and a command that needs a higher level than the cluster has is refused before it reaches the log.
 */
import { Context, Effect, Layer, Result } from "effect"
import type { Feature, FeatureLevel } from "../protocol/FeatureLevel.ts"
import {
  baselineLevel,
  decodeLevelEntry,
  decodeLevelRow,
  encodeLevelEntry,
  encodeLevelRow,
  FeatureTable,
  highestLevel,
  levelRowKey,
  neededRelease
} from "../protocol/FeatureLevel.ts"
import { InvalidArgument } from "../FlareDbError.ts"
import type { Entry } from "../raft/Types.ts"
import { StateStore } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { StorageCorruption } from "../storage/StorageError.ts"
import { version } from "../Version.ts"
import { corrupt } from "./KvLoader.ts"
import { StateMachine } from "./StateMachine.ts"

export class OwnLevel extends Context.Service<OwnLevel, {
  /** The highest level that this node knows. */
  readonly known: FeatureLevel

  /** The level of the cluster, as far as this node has applied its log. */
  readonly current: () => FeatureLevel

  /** Gets the current level, and each higher one once it is durable here. One listener. */
  readonly watch: (listener: (level: FeatureLevel) => void) => void

  /** Why a command must wait for the level of the cluster, as far as this node has applied its log. */
  readonly tooEarly: (command: Uint8Array) => InvalidArgument | undefined

  /** The command with which a leader raises the level as far as `level`; `undefined` when that raises nothing. */
  readonly proposal: (level: number) => { readonly level: number; readonly payload: Uint8Array } | undefined
}>()("flaredb/machine/OwnLevel") {}

const noReply = new Uint8Array(0)

const isLevelEntry = ({ kind, payload }: Entry): boolean =>
  kind === "command" && decodeLevelEntry(payload) !== undefined

const reserved = new InvalidArgument({
  field: "command",
  problem: "is reserved: only a leader may propose the feature level of its cluster"
})

/** The level of this node's cluster, and the machine beside it. */
class LevelledMachine {
  current: FeatureLevel
  readonly known: FeatureLevel
  private readonly table: ReadonlyArray<Feature>
  private readonly store: StateStore["Service"]
  private readonly machine: StateMachine["Service"]
  private listener: (level: FeatureLevel) => void = () => {}

  constructor(table: ReadonlyArray<Feature>, store: StateStore["Service"], machine: StateMachine["Service"]) {
    this.table = table
    this.store = store
    this.machine = machine
    this.known = highestLevel(table)
    this.current = table[0] ?? this.known
  }

  watch(listener: (level: FeatureLevel) => void): void {
    this.listener = listener
    listener(this.current)
  }

  proposal(level: number): ReturnType<OwnLevel["Service"]["proposal"]> {
    const target = this.table.findLast((feature) => feature.level <= level)
    if (target === undefined || target.level <= this.current.level) return undefined
    return { level: target.level, payload: encodeLevelEntry(target) }
  }

  readonly check: StateMachine["Service"]["check"] = (command, origin, kept) => {
    const level = decodeLevelEntry(command)
    if (level !== undefined) return origin === "log" ? this.tooHigh(level) : reserved
    return this.machine.check(command, origin, kept) ?? (origin === "log" ? undefined : this.tooEarly(command))
  }

  /** Stops before an entry that raises the level, and behind it: the node calls again with what is left. */
  readonly apply: StateMachine["Service"]["apply"] = (entries) => {
    const at = entries.findIndex(isLevelEntry)
    if (at === 0) return Effect.as(this.raise(entries[0] as Entry), [noReply])
    return this.machine.apply(at < 0 ? entries : entries.slice(0, at))
  }

  /** Reads the level that the applied state holds, if it holds one. */
  readonly load: Effect.Effect<void, StorageError> = Effect.suspend(() =>
    Effect.flatMap(this.store.getMany([levelRowKey]), ([row]): Effect.Effect<void, StorageError> => {
      if (row === undefined) return Effect.void
      const level = decodeLevelRow(row)
      if (Result.isFailure(level)) return Effect.fail(corrupt(level.failure.message))
      return level.success.level > this.current.level ? this.adopt(level.success, Effect.void) : Effect.void
    })
  )

  /** Applies an entry that raises the level. One that would not raise it changes nothing: leaders may repeat it. */
  private raise({ index, payload, term }: Entry): Effect.Effect<void, StorageError> {
    const level = decodeLevelEntry(payload) as FeatureLevel
    const point = { index, term }
    if (level.level <= this.current.level) return this.store.commit([], point)
    const row = { _tag: "Put", key: levelRowKey, value: encodeLevelRow(level) } as const
    return Effect.andThen(
      this.adopt(level, this.store.commit([row], point)),
      Effect.logInfo(`the cluster has feature level ${level.level}: flaredb ${level.release} or later from now on`)
    )
  }

  /** Takes a level over. The directory is marked first: an older release must refuse it before it reads a row. */
  private adopt(level: FeatureLevel, commit: Effect.Effect<void, StorageError>): Effect.Effect<void, StorageError> {
    if (level.level > this.known.level) return Effect.fail(this.unknown(level))
    return this.store.requireLevel(level).pipe(
      Effect.andThen(commit),
      Effect.andThen(Effect.sync(() => {
        this.current = level
        this.listener(level)
      }))
    )
  }

  private unknown(level: FeatureLevel): StorageCorruption {
    return new StorageCorruption({
      path: "the data directory",
      detail: `it needs ${neededRelease(level)}, and this is flaredb ${version} with level ${this.known.level}`,
      safe: `everything: start flaredb ${level.release} or later`
    })
  }

  /** Why an entry of the log that raises the level must not be persisted here. */
  private tooHigh(level: FeatureLevel): InvalidArgument | undefined {
    return level.level <= this.known.level ? undefined : new InvalidArgument({
      field: "command",
      problem: `needs ${neededRelease(level)}, and this node is flaredb ${version} with level ${this.known.level}`
    })
  }

  tooEarly(command: Uint8Array): InvalidArgument | undefined {
    const needed = this.machine.levelOf?.(command) ?? baselineLevel
    return needed <= this.current.level ? undefined : new InvalidArgument({
      field: "command",
      problem: `needs feature level ${needed}, and the cluster has level ${this.current.level}: upgrade every node ` +
        "first, see flaredb cluster version"
    })
  }
}

const make = Effect.gen(function*() {
  const machine = yield* StateMachine
  const levelled = new LevelledMachine(yield* FeatureTable, yield* StateStore, machine)
  const { apply, check, known, load } = levelled
  yield* load
  return Context.make(
    StateMachine,
    StateMachine.of({ ...machine, check, apply, reload: Effect.andThen(machine.reload, load) })
  ).pipe(Context.add(
    OwnLevel,
    OwnLevel.of({
      known,
      current: () => levelled.current,
      watch: (listener) => levelled.watch(listener),
      tooEarly: (command) => levelled.tooEarly(command),
      proposal: (level) => levelled.proposal(level)
    })
  ))
})

/** The machine of a node, with the feature level of the cluster beside it. */
export const layer: Layer.Layer<StateMachine | OwnLevel, StorageError, StateMachine | StateStore> = Layer.effectContext(
  make
)

/**
 * An import from etcd: it looks at all keys of one revision, writes them in their order, and compares both sides.
 * Started again, it goes on where it was.
 */
import { Clock, Effect, Option } from "effect"
import { randomUUID } from "node:crypto"
import { KeyValue } from "../../client/KeyValue.ts"
import { Leases } from "../../client/Lease.ts"
import { Compare, Op } from "../../client/Txn.ts"
import type { Compared } from "./Comparison.ts"
import { compare } from "./Comparison.ts"
import { Copy } from "./Copy.ts"
import { EtcdPages } from "./EtcdPages.ts"
import type { EtcdSource } from "./EtcdSource.ts"
import { ImportedLeases } from "./ImportedLeases.ts"
import { EtcdBehind, ImportRunning, UnknownPosition } from "./ImportFailures.ts"
import { keysOf, Renaming } from "./ImportKeys.ts"
import { Pace } from "./Pace.ts"
import { Pairs } from "./Pairs.ts"
import type { Position } from "./Position.ts"
import { decode, encode, noTotals } from "./Position.ts"
import { writing } from "./Retry.ts"
import type { IfExists } from "./Rules.ts"
import { rangeOf, StorePages } from "./StorePages.ts"
import type { OnProgress, Survey } from "./Survey.ts"
import { checkLeases, hindrance, survey } from "./Survey.ts"

export interface ImportOptions {
  readonly prefix: Uint8Array
  readonly toPrefix: Uint8Array
  readonly ifExists: IfExists
  readonly exact: boolean
  readonly skipRefused: boolean
  /** Whether to forget how far an earlier run was. */
  readonly restart: boolean
  /** Most keys that are read from etcd in a second. */
  readonly keysPerSecond: number | undefined
  /** Most milliseconds that a lease is granted. */
  readonly maxLeaseMs: number | undefined
}

/** What an import tells while it runs. `what` is what is done. */
export type OnStep = (what: "look" | "import" | "verify") => OnProgress

interface Stored {
  readonly position: Position | undefined
  readonly revision: number
}

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")

export class Import {
  private readonly source: EtcdSource
  private readonly kv: KeyValue["Service"]
  private readonly leases: Leases["Service"]
  private readonly options: ImportOptions
  private readonly clock: Clock.Clock
  private readonly renaming: Renaming
  private readonly positionKey: string
  private readonly leasePrefix: string

  private constructor(
    source: EtcdSource,
    kv: KeyValue["Service"],
    leases: Leases["Service"],
    clock: Clock.Clock,
    options: ImportOptions
  ) {
    const { prefix, toPrefix } = options
    const keys = keysOf(source.cluster, prefix, toPrefix)
    this.source = source
    this.kv = kv
    this.leases = leases
    this.options = options
    this.clock = clock
    this.renaming = new Renaming(prefix, toPrefix)
    this.positionKey = keys.position
    this.leasePrefix = keys.leases
  }

  static readonly make = Effect.fnUntraced(function*(source: EtcdSource, options: ImportOptions) {
    return new Import(source, yield* KeyValue, yield* Leases, yield* Clock.Clock, options)
  })

  /** The revision that etcd is at. */
  get currentRevision() {
    return Effect.map(this.source.head(rangeOf(this.options.prefix)), ({ revision }) => revision)
  }

  /** What there is to import at a revision. */
  readonly look = Effect.fnUntraced({ self: this }, function*(this: Import, revision: number, onStep: OnStep) {
    return yield* survey(this.pairs(revision), yield* this.imported, onStep("look"))
  })

  /** Why nothing would be written, if so. */
  hindrance(found: Survey) {
    return hindrance(found, this.options, this.options.skipRefused)
  }

  /** Imports what is not imported yet, and compares both sides. */
  readonly run = Effect.fnUntraced({ self: this }, function*(this: Import, onStep: OnStep) {
    const { exact, ifExists } = this.options
    const stored = yield* this.stored
    if (stored.position !== undefined) yield* this.requireSameData(stored.position)
    const isBegun = stored.position?.done === false
    const begun = stored.position !== undefined && isBegun ? stored.position : yield* this.first(onStep)
    const leases = yield* this.imported
    const { position, revision } = yield* this.begin(begun, stored.revision)
    const rules = { ifExists, exact }
    const copy = new Copy({ kv: this.kv, leases, rules, positionKey: this.positionKey }, position, revision)
    const after = position.after === "" ? undefined : Buffer.from(position.after, "base64")
    const copied = yield* copy.run(this.pairs(position.revision, after), onStep("import"))
    const compared = yield* this.compare(copied, true, onStep)
    if (compared.differences === 0) yield* copy.finish
    return { position: copied, compared, resumed: isBegun }
  })

  /** Compares both sides at etcd's current revision. */
  readonly verify = Effect.fnUntraced({ self: this }, function*(this: Import, onStep: OnStep) {
    const { position } = yield* this.stored
    const revision = yield* this.currentRevision
    return { revision, compared: yield* this.compare({ revision, ofBytes: 0 }, position !== undefined, onStep) }
  })

  /** Compares both sides at a revision of etcd. A run that imported knows how many keys it kept as they were. */
  private readonly compare = Effect.fnUntraced({ self: this }, function*(
    this: Import,
    { ofBytes, revision, totals }: Pick<Position, "revision" | "ofBytes"> & Partial<Position>,
    wasImported: boolean,
    onStep: OnStep
  ) {
    const { exact, ifExists, skipRefused } = this.options
    const leases = yield* this.imported
    const kept = ifExists === "skip" ? totals?.kept : undefined
    const options = { leases, rules: { ifExists, exact }, skipRefused, kept, wasImported }
    const compared: Compared = yield* compare(this.pairs(revision), options, onStep("verify"), ofBytes)
    return compared
  })

  /** The row of an earlier run. Asked for once, without repeating: it finds out whether FlareDB can be reached. */
  private get stored() {
    return Effect.flatMap(this.kv.get(this.positionKey), (row): Effect.Effect<Stored, UnknownPosition> => {
      if (Option.isNone(row)) return Effect.succeed({ position: undefined, revision: 0 })
      const { modRevision, text } = row.value
      const position = this.options.restart ? undefined : decode(text)
      return position === undefined && !this.options.restart
        ? Effect.fail(new UnknownPosition({ key: this.positionKey }))
        : Effect.succeed({ position, revision: modRevision })
    })
  }

  /** Refuses other data than an earlier run read, also when it ended: an etcd made again has the same cluster id. */
  private readonly requireSameData = Effect.fnUntraced({ self: this }, function*(
    this: Import,
    { revision }: Position
  ) {
    const current = yield* this.currentRevision
    if (current < revision) return yield* new EtcdBehind({ revision, current })
  })

  /** The position before the first key, once nothing hinders the import. */
  private readonly first = Effect.fnUntraced({ self: this }, function*(this: Import, onStep: OnStep) {
    const { maxLeaseMs, prefix, toPrefix } = this.options
    const revision = yield* this.currentRevision
    const found = yield* this.look(revision, onStep)
    const hindrance = this.hindrance(found)
    if (hindrance !== undefined) return yield* hindrance
    yield* checkLeases(found, this.source, this.leases, maxLeaseMs)
    return {
      revision,
      after: "",
      done: false,
      ofBytes: found.bytes,
      run: "",
      prefix: base64(prefix),
      toPrefix: base64(toPrefix),
      totals: noTotals
    } satisfies Position
  })

  /** Notes that this process carries out the import. Another one that does so fails at its next write. */
  private readonly begin = Effect.fnUntraced({ self: this }, function*(
    this: Import,
    from: Position,
    expected: number
  ) {
    const key = this.positionKey
    const position: Position = { ...from, run: randomUUID() }
    const text = encode(position)
    const taken = yield* writing(this.kv.transact({
      if: [Compare.modRevision(key).equals(expected)],
      do: [Op.put(key, text)],
      else: [Op.get(key)]
    }))
    if (taken.succeeded) return { position, revision: taken.revision }
    const row = Option.getOrUndefined(taken.results[0])
    if (row?.text !== text) return yield* new ImportRunning({ key })
    return { position, revision: row.modRevision }
  })

  private get imported() {
    const leases = new ImportedLeases(this.kv, this.leases, this.source, this.leasePrefix, this.options.maxLeaseMs)
    return Effect.as(leases.load, leases)
  }

  private pairs(revision: number, after?: Uint8Array): Pairs {
    const { keysPerSecond, prefix, toPrefix } = this.options
    const range = rangeOf(prefix)
    const from = after === undefined ? range.from : this.renaming.behind(after)
    const pace = new Pace(this.clock, keysPerSecond)
    return new Pairs(
      new EtcdPages(this.source, { from, end: range.end, revision }, pace),
      new StorePages(this.kv, toPrefix, after),
      this.renaming
    )
  }
}

/**
 * What a node's disk keeps through any crash, as the oracle asks for it: read from the durable rows, as a start would.
 */
import { readU64 } from "../../../src/bytes/U64.ts"
import { CodecError } from "../../../src/bytes/CodecError.ts"
import { baselineLevel } from "../../../src/protocol/FeatureLevel.ts"
import { membershipField } from "../../../src/protocol/Membership.ts"
import { decodeReadableBy, logKey, stateKeys } from "../../../src/storage/Codec.ts"
import type { HardState, LogPoint } from "../../../src/raft/Types.ts"
import { LogIndex, NodeId, origin, Term } from "../../../src/raft/Types.ts"
import type { ObservedDisk } from "../engine/Oracle.ts"
import type { SimDisk, StoredRow } from "./SimDisk.ts"
import { find, nameOf } from "./SimDisk.ts"

const u64 = (bytes: Uint8Array, at: number): number =>
  readU64(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), at)

const json = (row: StoredRow): unknown => JSON.parse(Buffer.from(row.value).toString("utf8", 4))

/** The last reading of a record, good for as long as the row is the same. */
class Remembered<A> {
  private row: StoredRow | undefined
  private value: A
  private readonly absent: A
  private readonly decode: (row: StoredRow) => A

  constructor(absent: A, decode: (row: StoredRow) => A) {
    this.absent = absent
    this.value = absent
    this.decode = decode
  }

  of(row: StoredRow | undefined): A {
    if (row === this.row) return this.value
    this.row = row
    try {
      this.value = row === undefined ? this.absent : this.decode(row)
    } catch {
      // A damaged record says nothing.
      this.value = this.absent
    }
    return this.value
  }
}

const pointOf = ({ index, term }: { readonly index: number; readonly term: number }): LogPoint => ({
  index: LogIndex(index),
  term: Term(term)
})

/** What a marker asks of the release that opens the directory. None opens one whose marker is damaged. */
const levelIn = (row: StoredRow): number => {
  const readable = decodeReadableBy(row.value)
  return readable instanceof CodecError ? Infinity : readable.required?.level ?? baselineLevel
}

const noHardState: HardState = { term: Term(0), votedFor: undefined, commit: LogIndex(0) }

export class DurableView implements ObservedDisk {
  readonly before: ObservedDisk | undefined
  private readonly disk: Pick<SimDisk, "durable">

  private readonly hardStates = new Remembered<HardState>(noHardState, (row) => {
    const { [membershipField]: membership, term, votedFor } = json(row) as {
      readonly term: number
      readonly votedFor: number | null
      readonly [membershipField]?: "newcomer" | "learner"
    }
    return {
      term: Term(term),
      votedFor: votedFor === null ? undefined : NodeId(votedFor),
      commit: LogIndex(0),
      ...(membership === undefined ? {} : { membership: membership === "newcomer" ? "unknown" : membership })
    }
  })

  private readonly points = new Remembered<LogPoint>(origin, (row) => pointOf(json(row) as LogPoint))

  /** The snapshot that the active state came from. */
  private readonly snapshots = new Remembered<LogPoint>(origin, (row) => {
    const { installed } = json(row) as { readonly installed?: LogPoint }
    return installed === undefined ? origin : pointOf(installed)
  })

  private readonly levels = new Remembered<number>(baselineLevel, levelIn)

  constructor(disk: Pick<SimDisk, "durable">, before: ObservedDisk | undefined) {
    this.disk = disk
    this.before = before
  }

  private record(name: string): StoredRow | undefined {
    return find(this.disk.durable.raft_state, name)
  }

  /** Rows of the log; none while a reset is under way. */
  private get log(): ReadonlyArray<StoredRow> {
    return this.record(stateKeys.resetting) === undefined ? this.disk.durable.raft_log : []
  }

  get hardState(): HardState {
    return this.hardStates.of(this.record(stateKeys.hardState))
  }

  /** The feature level that the marker asks for. */
  get requiredLevel(): number {
    return this.levels.of(this.record(stateKeys.marker))
  }

  get base(): LogPoint {
    const compacted = this.points.of(this.record(stateKeys.compacted))
    const installed = this.snapshots.of(this.record(stateKeys.activeFamily))
    // A state that came from elsewhere stands for the log up to its point, whatever the log says there.
    return installed.index > compacted.index && this.logTerm(installed.index) !== installed.term ? installed : compacted
  }

  get lastIndex(): LogIndex {
    const { base, log } = this
    const last = log[log.length - 1]
    if (last === undefined) return base.index
    const index = u64(last.key, 0)
    return index < base.index || this.termAt(base.index) === undefined ? base.index : LogIndex(index)
  }

  private logTerm(index: number): Term | undefined {
    const row = find(this.log, nameOf(logKey(LogIndex(index))))
    if (row === undefined) return undefined
    const term = u64(row.value, 8)
    // A damaged record may say anything, and one that cannot be true says nothing.
    return Number.isSafeInteger(term) ? Term(term) : undefined
  }

  termAt(index: number): Term | undefined {
    const { base } = this
    return index === base.index ? base.term : index < base.index ? undefined : this.logTerm(index)
  }
}

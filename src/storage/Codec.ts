/**
 * Keys and records of the `raft_log` and `raft_state` families. Every record begins with a CRC-32 of the rest; decoding
 * answers with a value or a {@link CodecError} and never throws.
 */
import { Option, Schema } from "effect"
import { crc32 } from "node:zlib"
import { CodecError } from "../bytes/CodecError.ts"
import { readSafeU64, writeU64 } from "../bytes/U64.ts"
import { literalOf, membershipField, NonVoterRole } from "../protocol/Membership.ts"
import type { HardState, LogIndex } from "../raft/Types.ts"

/** The key of a log entry: its index in eight big-endian bytes, so that byte order is log order. */
export const logKey = (index: LogIndex): Uint8Array => {
  const key = Buffer.allocUnsafe(8)
  writeU64(key, index, 0)
  return key
}

/**
 * Past the key of `index`, and before the next one's. A range that ended with the next key itself would meet the table
 * that begins with it, and RocksDB would compact the two together.
 */
export const behindLogKey = (index: LogIndex): Uint8Array => Buffer.concat([logKey(index), Uint8Array.of(0)])

/** Past every log key. */
export const logEnd: Uint8Array = new Uint8Array(8).fill(0xff)

/** The index in a log key, or -1 when it is none. */
export const indexOfLogKey = (key: Uint8Array): number => {
  if (key.byteLength !== 8) return -1
  const index = readSafeU64(key, 0)
  return index > 0 ? index : -1
}

/** The fixed names in `raft_state`. */
export const stateKeys = {
  marker: "marker",
  hardState: "hard-state",
  confState: "conf-state",
  compacted: "compacted",
  /** There until a reset is finished: what `raft_log` still holds is void. */
  resetting: "resetting",
  activeFamily: "active-family"
} as const

const Count = Schema.Natural
const NodeIdNumber = Schema.Int.check(Schema.isGreaterThan(0))

const RequiredLevel = Schema.Struct({ level: Count, release: Schema.String })

/** Who a data directory belongs to. */
export const Marker = Schema.Struct({
  formatVersion: Count,
  clusterId: Schema.String,
  nodeId: NodeIdNumber,
  voters: Schema.Array(NodeIdNumber),
  createdMs: Count,
  /** In format 5: the feature level without which the directory cannot be read. See `protocol/FeatureLevel.ts`. */
  required: Schema.optionalKey(RequiredLevel)
})
export type Marker = typeof Marker.Type

/** What every format of the marker says, also a later one. */
const ReadableBy = Schema.Struct({ formatVersion: Count, required: Schema.optionalKey(RequiredLevel) })

export const HardStateRecord = Schema.Struct({
  term: Count,
  votedFor: Schema.NullOr(NodeIdNumber),
  commit: Count,
  /** Absent once the node is a voter. */
  membership: Schema.optionalKey(NonVoterRole)
}).pipe(Schema.encodeKeys({ membership: membershipField }))

const ConfStateRecord = Schema.Struct({ voters: Schema.Array(NodeIdNumber) })

const PointRecord = Schema.Struct({ index: Count, term: Count })

/** How far a log is known to be durable, and which vote. Versions before votes were in it wrote none. */
export const FloorRecord = Schema.Struct({
  index: Count,
  term: Count,
  vote: Schema.optionalKey(Schema.Struct({ term: Count, votedFor: Schema.NullOr(NodeIdNumber) }))
})

/** Which state family is active and, when it came as a snapshot, the last entry that snapshot covered. */
const ActiveFamilyRecord = Schema.Struct({
  family: Schema.Literals(["state_a", "state_b"]),
  installed: Schema.optionalKey(PointRecord)
})

/** A record: four bytes of checksum, then JSON, which stays readable in a hex dump at 3 a.m. */
export const encodeRecord = (value: object): Uint8Array => {
  const json = Buffer.from(JSON.stringify(value))
  const record = Buffer.allocUnsafe(4 + json.byteLength)
  record.writeUInt32BE(crc32(json), 0)
  record.set(json, 4)
  return record
}

/** The record of a hard state. */
export const hardStateRecord = ({ commit, membership = "voter", term, votedFor }: HardState): Uint8Array =>
  encodeRecord({
    term,
    votedFor: votedFor ?? null,
    commit,
    ...(membership === "voter" ? {} : { [membershipField]: literalOf<"learner">(membership) })
  })

/** A reader of records that hold `schema`. */
export const recordDecoder = <A>(name: string, schema: Schema.Codec<A, unknown>) => {
  const decode = Schema.decodeUnknownOption(Schema.fromJsonString(schema))
  return (record: Uint8Array): A | CodecError => {
    if (record.byteLength < 4) return new CodecError(`the ${name} record has only ${record.byteLength} bytes`)
    const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength)
    const json = bytes.subarray(4)
    if (bytes.readUInt32BE(0) !== crc32(json)) {
      return new CodecError(`the checksum of the ${name} record does not match`)
    }
    return Option.getOrElse(
      decode(json.toString("utf8")),
      () => new CodecError(`the ${name} record has an unknown shape: ${json.toString("utf8").slice(0, 200)}`)
    )
  }
}

export const decodeMarker = recordDecoder("marker", Marker)
export const decodeReadableBy = recordDecoder("marker", ReadableBy)
export const decodeHardState = recordDecoder("hard state", HardStateRecord)
export const decodeConfState = recordDecoder("conf state", ConfStateRecord)
export const decodePoint = recordDecoder("log point", PointRecord)
export const decodeActiveFamily = recordDecoder("active family", ActiveFamilyRecord)

/**
 * A backup: the whole state of a cluster at one applied point, as bytes that travel and as a file.
 *
 * ```
 * offset  size  field
 *      0     8  "FLAREDBB"
 *      8     4  CRC-32 of everything from here to the end of the header, big-endian like all numbers here
 *     12     2  format version (3)
 *     14     2  bytes of the header's text
 *     16     n  the header's text: JSON, which stays readable in a hex dump
 *   16+n        chunks, as in `SnapshotChunk.ts`; the last one has the number of rows, their bytes and their SHA-256
 * ```
 *
 * Nothing follows the last chunk. Decoding never throws, takes the bytes in pieces of any size, and holds no more than
 * one chunk and one row of them.
 */
import { Option, Result, Schema } from "effect"
import { crc32 } from "node:zlib"
import { unicode } from "../Printable.ts"
import { otherFormat } from "../Version.ts"
import { isClusterId } from "../config/FlareDbConfig.ts"
import { maxStoredNumber } from "../kv/model/Limits.ts"
import { parseIdentity } from "./ClusterIdentity.ts"
import { CodecError } from "../bytes/CodecError.ts"
import type { SnapshotTotals } from "./SnapshotChunk.ts"
import { chunkHeaderBytes, chunkLength, SnapshotDecoder } from "./SnapshotChunk.ts"
import type { StateRow } from "./StateRows.ts"

/** The version this code writes and the only one it reads. */
const backupFormatVersion = 3

const magic = Buffer.from("FLAREDBB", "latin1")

/** Bytes of a header before its text. */
const fixedBytes = 16

const Count = Schema.Natural

/** What a backup is of. */
export const BackupHeader = Schema.Struct({
  /** The cluster it was taken of. */
  clusterId: Schema.String,
  /** The identity of that cluster. What is restored from the backup is another cluster, with an identity of its own. */
  identity: Schema.String,
  /** The node that served it. */
  nodeId: Count,
  /** The version of FlareDB that wrote it. */
  version: Schema.String,
  /** The state machine whose rows these are. */
  machine: Schema.String,
  /** The last entry of the log whose effects are in it. */
  index: Count,
  term: Count,
  /** The last revision in it; 0 for a machine without revisions. */
  revision: Count,
  /** The cluster's clock at that point, in milliseconds. */
  logTimeMs: Count,
  /** When it was taken, by the clock of the node that served it, in milliseconds since the epoch. */
  createdMs: Count,
  /** About how many bytes its rows have. */
  estimatedBytes: Count
})
export type BackupHeader = typeof BackupHeader.Type

/** Names of state machines and versions: what a terminal shows as it is. */
const isName = (text: string): boolean => /^[\x20-\x7e]{1,256}$/.test(text)

/** Why a header that is well-formed cannot be used: its names and numbers are held to what a configuration may say. */
const headerProblem = (header: BackupHeader): string | undefined => {
  const { clusterId, identity, machine, version } = header
  if (!isClusterId(clusterId)) {
    return `the cluster name ${shown(clusterId)} is not 1 to 64 letters, digits, dots, dashes or underscores`
  }
  if (Result.isFailure(parseIdentity(identity))) return `the cluster identity ${shown(identity)} is no UUID`
  for (const [what, text] of [["state machine", machine], ["version", version]] as const) {
    if (!isName(text)) return `the name of the ${what}, ${shown(text)}, is not 1 to 256 printable characters`
  }
  for (const field of ["nodeId", "index", "term", "revision", "logTimeMs", "createdMs", "estimatedBytes"] as const) {
    const least = field === "nodeId" || field === "index" || field === "term" ? 1 : 0
    if (header[field] < least || header[field] > maxStoredNumber) {
      return `${field} ${header[field]} is not from ${least} to ${maxStoredNumber}`
    }
  }
  return undefined
}

/** A name that breaks the rules, for a terminal. */
const shown = (text: string): string => JSON.stringify(text.slice(0, 80)).replace(/[^\x20-\x7e]/g, unicode)

const decodeWriter = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({ version: Schema.String })))

const decodeText = Schema.decodeUnknownOption(Schema.fromJsonString(BackupHeader))

/** The first bytes of a backup. */
export const encodeBackupHeader = (header: BackupHeader): Uint8Array => {
  const text = Buffer.from(JSON.stringify(header))
  const bytes = Buffer.alloc(fixedBytes + text.byteLength)
  magic.copy(bytes, 0)
  bytes.writeUInt16BE(backupFormatVersion, 12)
  bytes.writeUInt16BE(text.byteLength, 14)
  text.copy(bytes, fixedBytes)
  bytes.writeUInt32BE(crc32(bytes.subarray(12)), 8)
  return bytes
}

/** What a piece of a backup brought. */
export type BackupPart =
  | { readonly _tag: "Header"; readonly header: BackupHeader }
  | { readonly _tag: "Rows"; readonly rows: ReadonlyArray<StateRow> }
  | { readonly _tag: "End"; readonly totals: SnapshotTotals }

/** Reads a backup from pieces of any size, and holds it to its checksums. */
export class BackupDecoder {
  /** What the header said, once it was read. */
  header: BackupHeader | undefined
  private readonly chunks = new SnapshotDecoder()
  /** Bytes that no part could be made of yet. */
  private pending: Array<Uint8Array> = []
  private pendingBytes = 0
  /** As long as there are fewer, nothing more can be said. */
  private needed = 1
  private totals: SnapshotTotals | undefined

  /** Bytes of rows so far, for progress. */
  get decodedBytes(): number {
    return this.chunks.decodedBytes
  }

  /**
   * Takes the next piece, whose bytes must not change afterwards. After a {@link CodecError} the backup is of no use.
   */
  take(piece: Uint8Array): ReadonlyArray<BackupPart> | CodecError {
    this.pending.push(piece)
    this.pendingBytes += piece.byteLength
    const parts: Array<BackupPart> = []
    if (this.pendingBytes < this.needed) return parts
    let bytes: Buffer = this.pending.length === 1
      ? Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)
      : Buffer.concat(this.pending, this.pendingBytes)
    for (;;) {
      if (this.totals !== undefined && bytes.byteLength > 0) return new CodecError("bytes follow the end of the backup")
      const length = this.header === undefined ? headerLength(bytes) : nextChunk(bytes)
      if (length instanceof CodecError) return length
      this.needed = length ?? bytes.byteLength + 1
      if (bytes.byteLength < this.needed) break
      const part = this.header === undefined
        ? this.takeHeader(bytes.subarray(0, length))
        : this.chunks.take(bytes.subarray(0, length))
      if (part instanceof CodecError) return part
      if (part._tag === "End") this.totals = part.totals
      parts.push(part)
      bytes = bytes.subarray(length)
    }
    this.pending = bytes.byteLength === 0 ? [] : [bytes]
    this.pendingBytes = bytes.byteLength
    return parts
  }

  /** What the backup held, when it is whole. */
  end(): SnapshotTotals | CodecError {
    if (this.totals !== undefined) return this.totals
    return new CodecError(
      this.header === undefined ? "it ends inside its header" : "it is cut short: its last chunk is missing"
    )
  }

  private takeHeader(bytes: Buffer): BackupPart | CodecError {
    if (bytes.readUInt32BE(8) !== crc32(bytes.subarray(12))) {
      return new CodecError("the checksum of its header does not match")
    }
    const header = Option.getOrUndefined(decodeText(bytes.toString("utf8", fixedBytes)))
    if (header === undefined) return new CodecError("its header has an unknown shape")
    const problem = headerProblem(header)
    if (problem !== undefined) return new CodecError(`its header cannot be used: ${problem}`)
    this.header = header
    return { _tag: "Header", header }
  }
}

/** The release that wrote a header of another format, as far as that says it where this one does. */
const writerOf = (text: Uint8Array): string | undefined => {
  const release = Option.getOrUndefined(decodeWriter(Buffer.from(text).toString("utf8")))?.version
  return release !== undefined && isName(release) ? release : undefined
}

/** The length of the chunk that begins here, `undefined` as long as that is unknown. */
const nextChunk = (bytes: Buffer): number | CodecError | undefined =>
  bytes.byteLength < chunkHeaderBytes ? undefined : chunkLength(bytes)

/** The length of the header that begins here, `undefined` as long as that is unknown. */
const headerLength = (bytes: Buffer): number | CodecError | undefined => {
  const begun = bytes.subarray(0, magic.byteLength)
  if (!begun.equals(magic.subarray(0, begun.byteLength))) return new CodecError("it is no backup of FlareDB")
  if (bytes.byteLength < fixedBytes) return undefined
  const format = bytes.readUInt16BE(12)
  const length = fixedBytes + bytes.readUInt16BE(14)
  return format === backupFormatVersion
    ? length
    : new CodecError(`it has ${otherFormat(format, backupFormatVersion, writerOf(bytes.subarray(fixedBytes, length)))}`)
}

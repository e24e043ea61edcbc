/**
 * The rows of the event journal and of event log servers, as bytes. Every row begins with its format; one that was
 * appended goes on with the mark of the transaction that wrote it.
 */
import { Data } from "effect"
import { EventJournal } from "effect/eventlog"
import type { EventLogEncryption } from "effect/eventlog"
import { readU64, writeU64 } from "../../bytes/U64.ts"
import type { KeyValueEntry } from "../../client/KeyValue.ts"
import { utf8Text } from "../../bytes/Utf8.ts"

type Entry = EventJournal.Entry
type EntryId = EventJournal.EntryId

/** What the store holds is not what this version writes. */
export class UnknownLogRow extends Data.TaggedError("UnknownLogRow")<{ readonly key: string }> {
  override get message() {
    return `the row ${this.key} is not of a known format; another version or another program wrote it`
  }
}

const format = 1

/** Bytes of a transaction's mark. */
export const markBytes = 12

const encoder = new TextEncoder()

/** Puts parts behind each other. Short parts have their length in one byte before them, names in four. */
class RowWriter {
  private readonly parts: Array<Uint8Array> = [Uint8Array.of(format)]

  bytes(part: Uint8Array): this {
    this.parts.push(part)
    return this
  }

  short(part: Uint8Array): this {
    return this.bytes(Uint8Array.of(part.byteLength)).bytes(part)
  }

  u32(value: number): this {
    const part = new Uint8Array(4)
    new DataView(part.buffer).setUint32(0, value)
    return this.bytes(part)
  }

  u64(value: number): this {
    const part = new Uint8Array(8)
    writeU64(part, value, 0)
    return this.bytes(part)
  }

  /** Of several texts one part. JSON keeps what is no Unicode text. */
  texts(...texts: ReadonlyArray<string>): this {
    const part = encoder.encode(JSON.stringify(texts))
    return this.u32(part.byteLength).bytes(part)
  }

  ids(ids: ReadonlyArray<Uint8Array>): this {
    this.u32(ids.length)
    for (const id of ids) this.short(id)
    return this
  }

  get row(): Uint8Array {
    const row = new Uint8Array(this.parts.reduce((sum, part) => sum + part.byteLength, 0))
    let offset = 0
    for (const part of this.parts) {
      row.set(part, offset)
      offset += part.byteLength
    }
    return row
  }
}

/** Reads parts as they were written. What it gives is a copy: a row may be a view of all that came with it. */
class RowReader {
  private readonly row: Uint8Array
  private readonly view: DataView
  private offset = 1

  constructor(row: Uint8Array) {
    if (row[0] !== format) throw new Error("another format")
    this.row = row
    this.view = new DataView(row.buffer, row.byteOffset, row.byteLength)
  }

  bytes(count: number): Uint8Array<ArrayBuffer> {
    const end = this.offset + count
    if (end > this.row.byteLength) throw new Error("a row that ends too early")
    const part = new Uint8Array(this.row.subarray(this.offset, end))
    this.offset = end
    return part
  }

  short(): Uint8Array<ArrayBuffer> {
    return this.bytes(this.bytes(1)[0] as number)
  }

  u32(): number {
    this.offset += 4
    return this.view.getUint32(this.offset - 4)
  }

  u64(): number {
    this.offset += 8
    return readU64(this.view, this.offset - 8)
  }

  texts(): ReadonlyArray<string> {
    return JSON.parse(utf8Text(this.bytes(this.u32()))) as ReadonlyArray<string>
  }

  ids(): ReadonlyArray<EntryId> {
    const count = this.u32()
    // Each has a byte of length at least.
    if (count > this.row.byteLength) throw new Error("more ids than bytes")
    return Array.from({ length: count }, () => this.short() as EntryId)
  }

  rest(): Uint8Array<ArrayBuffer> {
    return this.bytes(this.row.byteLength - this.offset)
  }
}

const reading = <A>(read: (row: RowReader) => A) => (row: KeyValueEntry): A => {
  try {
    return read(new RowReader(row.value))
  } catch {
    throw new UnknownLogRow({ key: row.keyText })
  }
}

/** The mark of the transaction that appended a row. */
export const markOf = reading((row) => row.bytes(markBytes))

export const encodeEntry = (entry: Entry, mark: Uint8Array): Uint8Array =>
  new RowWriter().bytes(mark).short(entry.id).texts(entry.event, entry.primaryKey).bytes(entry.payload).row

/** Throws {@link UnknownLogRow}, as all of these do. */
export const decodeEntry = reading((row): Entry => {
  row.bytes(markBytes)
  const id = row.short() as EntryId
  const [event = "", primaryKey = ""] = row.texts()
  return new EventJournal.Entry({ id, event, primaryKey, payload: row.rest() }, { disableChecks: true })
})

/** Entries that a journal was given in one step. */
export interface Added {
  /** The remote that they came from; absent for entries of its own. */
  readonly source: Uint8Array | undefined
  /** The latest id of the journal since. */
  readonly latest: EntryId
  readonly ids: ReadonlyArray<EntryId>
}

export const encodeAdded = (added: Added, mark: Uint8Array): Uint8Array =>
  new RowWriter().bytes(mark).short(added.source ?? new Uint8Array(0)).short(added.latest).ids(added.ids).row

export const decodeAdded = reading((row): Added => {
  row.bytes(markBytes)
  const source = row.short()
  return { source: source.byteLength === 0 ? undefined : source, latest: row.short() as EntryId, ids: row.ids() }
})

export type Batch = EventLogEncryption.EncryptedBatch

export const encodeBatch = (batch: Batch, mark: Uint8Array): Uint8Array =>
  new RowWriter().bytes(mark).ids(batch.entryIds).short(batch.iv).bytes(batch.encryptedBatch).row

export const decodeBatch = reading((row): Batch => {
  row.bytes(markBytes)
  const entryIds = row.ids() as unknown as Batch["entryIds"]
  return { entryIds, iv: row.short(), encryptedBatch: row.rest() }
})

/** A sequence or a position as a row. */
export const encodeNumber = (value: number): Uint8Array => new RowWriter().u64(value).row
export const decodeNumber = reading((row): number => row.u64())

export const encodeBytes = (value: Uint8Array): Uint8Array => new RowWriter().bytes(value).row
export const decodeBytes = reading((row): Uint8Array<ArrayBuffer> => row.rest())

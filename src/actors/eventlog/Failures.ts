/**
 * What cannot be stored, or not now. Effect's `EventJournalError` has one of these, or the client's error, as `cause`.
 */
import { Data, Effect } from "effect"
import { EventJournal } from "effect/eventlog"
import { idPart } from "./Layout.ts"
import { UnknownLogRow } from "./Rows.ts"

/** Most bytes of a row: a value of FlareDB, with room for what goes along. */
export const maxRowBytes = 1_000 * 1_024

/** Bytes of an id. */
export const idBytes = 16

/** An entry or a batch that no row can hold. */
export class RowTooLarge extends Data.TaggedError("RowTooLarge")<{
  readonly what: string
  readonly bytes: number
  readonly maxBytes: number
}> {
  override get message() {
    return `${this.what} has ${this.bytes} bytes; at most ${this.maxBytes} are allowed. Keep large parts ` +
      "elsewhere, and their key in the event"
  }
}

/** More than one step can store. */
export class TooManyEntries extends Data.TaggedError("TooManyEntries")<{
  readonly what: string
  readonly entries: number
  readonly maxEntries: number
  readonly bytes: number
  readonly maxBytes: number
}> {
  override get message() {
    return `${this.what} has ${this.entries} entries and ${this.bytes} bytes; one step stores at most ` +
      `${this.maxEntries} entries and ${this.maxBytes} bytes. Write it in several`
  }
}

/** An id that is none of Effect's. */
export class InvalidId extends Data.TaggedError("InvalidId")<{ readonly what: string; readonly bytes: number }> {
  override get message() {
    return `${this.what} has ${this.bytes} bytes; it must have ${idBytes}, as a UUID has`
  }
}

/** More was to be read into memory than is allowed. */
export class ReadTooLarge extends Data.TaggedError("ReadTooLarge")<{
  readonly what: string
  readonly maxBytes: number
}> {
  override get message() {
    return `${this.what} have more than maxReadBytes = ${this.maxBytes} bytes, and Effect wants all of them at once; ` +
      "raise maxReadBytes, or use several journals"
  }
}

/** Others appended in every attempt. Nothing of this call was stored. */
export class LogContended extends Data.TaggedError("LogContended")<{
  readonly rows: string
  readonly attempts: number
}> {
  override get message() {
    return `others appended to ${this.rows} in each of ${this.attempts} attempts; nothing was stored, try again later`
  }
}

/** An entry is stored already, and was written as a new one. */
export class DuplicateEntry extends Data.TaggedError("DuplicateEntry")<{ readonly id: string }> {
  override get message() {
    return `entry ${this.id} is stored already; nothing was stored`
  }
}

/** What takes several steps was stored in part: another process came between. */
export class PartlyStored extends Data.TaggedError("PartlyStored")<{
  readonly stored: number
  readonly entries: number
}> {
  override get message() {
    return `${this.stored} of ${this.entries} entries were stored when another process came between; write it again: ` +
      "those that are stored are known by their ids"
  }
}

/** What is wrong with a row's size, if anything. */
export const sizeProblem = (what: string, bytes: number, maxBytes = maxRowBytes): RowTooLarge | undefined =>
  bytes > maxBytes ? new RowTooLarge({ what, bytes, maxBytes }) : undefined

/** What is wrong with an id, if anything. */
export const idProblem = (what: string, id: Uint8Array): InvalidId | undefined =>
  id.byteLength === idBytes ? undefined : new InvalidId({ what, bytes: id.byteLength })

export const duplicate = (id: Uint8Array): DuplicateEntry => new DuplicateEntry({ id: idPart(id) })

/** As the journal fails. */
export const failed = (method: string) => (cause: unknown): EventJournal.EventJournalError =>
  cause instanceof EventJournal.EventJournalError ? cause : new EventJournal.EventJournalError({ method, cause })

/** What the store answers, and rows that cannot be read, as the journal fails. */
export const stored = <A, E>(
  method: string,
  effect: Effect.Effect<A, E>
): Effect.Effect<A, EventJournal.EventJournalError> =>
  effect.pipe(
    Effect.catchDefect((defect) => defect instanceof UnknownLogRow ? Effect.fail(defect) : Effect.die(defect)),
    Effect.mapError(failed(method))
  )

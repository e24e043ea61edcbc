/**
 * Where the event journal and the storages of event log servers keep their rows:
 *
 * ```
 * <prefix> ej/<name>/e/<entry>                  an entry
 * <prefix> ej/<name>/s/<sequence>               entries that were added in one step, from that sequence on
 * <prefix> ej/<name>/k/<group>/<entry>          the entries of one event and primary key
 * <prefix> ej/<name>/c/<remote>                 the next sequence to download from a remote
 * <prefix> ej/<name>/u/<remote>                 the last sequence of the journal that was uploaded to it
 *
 * <prefix> el/<name>/id                         the remote id of an unencrypted server
 * <prefix> el/<name>/b/<public key>             the signing key that an identity came with first
 * <prefix> el/<name>/s/<store>/r/<sequence>     an entry
 * <prefix> el/<name>/s/<store>/i/<entry>        its sequence
 * <prefix> el/<name>/s/<store>/k/<group>/<entry>  the same, by event and primary key
 *
 * <prefix> ex/<name>/id  …/b/<public key>       the same of an encrypted server
 * <prefix> ex/<name>/s/<public key>/<store>/r/<sequence>   a batch, at the sequence of its first entry
 * <prefix> ex/<name>/s/<public key>/<store>/i/<entry>      the sequence that an entry was first stored at
 * ```
 *
 * Rows under `s/` and `r/` are only ever appended: each begins right behind the one before it.
 */
import { createHash } from "node:crypto"
import { encodeName, encodeOwnPart } from "../persistence/Keys.ts"

/** Digits of the largest safe integer. */
const sequenceDigits = 16

/** A sequence as part of a key: as text it sorts as the number does. */
const sequencePart = (sequence: number): string => String(sequence).padStart(sequenceDigits, "0")

/** An id as part of a key: it sorts as its bytes do. */
export const idPart = (id: Uint8Array): string => Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString("hex")

/** The id that is the last part of a key. */
export const idOfKey = (key: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(Buffer.from(key.slice(key.lastIndexOf("/") + 1), "hex"))

/** The sequence that is the last part of a key. */
export const sequenceOfKey = (key: string): number => Number(key.slice(key.lastIndexOf("/") + 1))

/** An event and a primary key as part of a key, whatever their length and characters. */
export const groupPart = (event: string, primaryKey: string): string =>
  createHash("sha256").update(JSON.stringify([event, primaryKey])).digest("base64url")

/** Rows that are appended, by the sequence that each begins with. */
export class AppendedKeys {
  /** What readers watch. */
  readonly rows: string

  constructor(rows: string) {
    this.rows = rows
  }

  row(sequence: number): string {
    return this.rows + sequencePart(sequence)
  }
}

export class JournalKeys {
  readonly base: string
  readonly entries: string
  readonly appended: AppendedKeys

  constructor(prefix: string, name: string) {
    this.base = `${prefix}ej/${encodeName(name)}/`
    this.entries = `${this.base}e/`
    this.appended = new AppendedKeys(`${this.base}s/`)
  }

  entry(id: Uint8Array): string {
    return this.entries + idPart(id)
  }

  /** Before the ids of a group. */
  group(event: string, primaryKey: string): string {
    return `${this.base}k/${groupPart(event, primaryKey)}/`
  }

  downloaded(remoteId: Uint8Array): string {
    return `${this.base}c/${idPart(remoteId)}`
  }

  uploaded(remoteId: Uint8Array): string {
    return `${this.base}u/${idPart(remoteId)}`
  }
}

/** What the storages of both kinds of servers have. */
export class ServerKeys {
  readonly id: string
  private readonly base: string

  constructor(prefix: string, kind: "el" | "ex", name: string) {
    this.base = `${prefix}${kind}/${encodeName(name)}/`
    this.id = `${this.base}id`
  }

  binding(publicKey: string): string {
    return `${this.base}b/${encodeOwnPart(publicKey)}`
  }

  store(...names: ReadonlyArray<string>): StoreKeys {
    return new StoreKeys(`${this.base}s/${names.map(encodeOwnPart).join("/")}/`)
  }
}

/** The keys of one store of a server. */
export class StoreKeys {
  readonly base: string
  readonly appended: AppendedKeys
  /** Before the ids of all entries. */
  readonly ids: string

  constructor(base: string) {
    this.base = base
    this.appended = new AppendedKeys(`${base}r/`)
    this.ids = `${base}i/`
  }

  id(id: Uint8Array): string {
    return this.ids + idPart(id)
  }

  /** Before the ids of a group. */
  group(event: string, primaryKey: string): string {
    return `${this.base}k/${groupPart(event, primaryKey)}/`
  }
}

/**
 * What the event journal and the event logs keep is read by later versions. `npm run golden` rewrites the file; a row that
 * reads otherwise needs another format.
 */
import { assert, it } from "@effect/vitest"
import { EventJournal } from "effect/eventlog"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { JournalKeys, ServerKeys } from "../../src/actors/eventlog/Layout.ts"
import {
  decodeAdded,
  decodeBatch,
  decodeBytes,
  decodeEntry,
  decodeNumber,
  encodeAdded,
  encodeBatch,
  encodeBytes,
  encodeEntry,
  encodeNumber,
  markOf,
  UnknownLogRow
} from "../../src/actors/eventlog/Rows.ts"
import { KeyValueEntry } from "../../src/client/index.ts"

const id = (n: number) => Uint8Array.from({ length: 16 }, (_, i) => n + i) as EventJournal.EntryId
const mark = Uint8Array.from({ length: 12 }, (_, i) => 0xa0 + i)
const row = (value: Uint8Array) =>
  new KeyValueEntry(new TextEncoder().encode("a row"), {
    value,
    createRevision: 1,
    modRevision: 1,
    version: 1,
    lease: 0
  })

const entry = new EventJournal.Entry({
  id: id(1),
  event: "Noted \ud800",
  primaryKey: "ä/",
  payload: Uint8Array.of(1, 2, 3)
}, { disableChecks: true })
const added = { source: id(9), latest: id(3), ids: [id(1), id(3)] }
const own = { ...added, source: undefined }
const batch = {
  entryIds: [id(1), id(2)] as const,
  iv: new Uint8Array(12).fill(5),
  encryptedBatch: Uint8Array.of(7, 8, 9)
}
const journal = new JournalKeys("fx/", "a/b")
const server = new ServerKeys("fx/", "ex", "main")
const store = server.store("one/", "s".repeat(1_100))

const rows = {
  entry: encodeEntry(entry, mark),
  imported: encodeAdded(added, mark),
  own: encodeAdded(own, mark),
  batch: encodeBatch(batch, mark),
  number: encodeNumber(Number.MAX_SAFE_INTEGER),
  bytes: encodeBytes(Uint8Array.of(1, 2))
}

it("the rows and keys of event journals and event logs are those that are written down", () => {
  const keys = {
    entry: journal.entry(id(1)),
    added: journal.appended.row(12),
    group: journal.group("event", "key"),
    downloaded: journal.downloaded(id(9)),
    uploaded: journal.uploaded(id(9)),
    serverId: server.id,
    binding: server.binding("one/"),
    batch: store.appended.row(1),
    id: store.id(id(1)),
    storeGroup: store.group("event", "key")
  }
  const hex = Object.entries(rows).map(([name, value]) => [name, Buffer.from(value).toString("hex")])
  const rendered = `${JSON.stringify({ keys, rows: Object.fromEntries(hex) }, undefined, 2)}\n`
  const golden = new URL("./eventlog.golden.json", import.meta.url)
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, rendered)
  assert.isTrue(existsSync(golden), "npm run golden writes it")
  assert.strictEqual(rendered, readFileSync(golden, "utf8"))
})

it("the rows are read as they were written", () => {
  assert.deepStrictEqual({ ...decodeEntry(row(rows.entry)) }, { ...entry })
  assert.deepStrictEqual(decodeAdded(row(rows.imported)), added)
  assert.deepStrictEqual(decodeAdded(row(rows.own)), own)
  assert.deepStrictEqual(decodeBatch(row(rows.batch)), batch)
  assert.strictEqual(decodeNumber(row(rows.number)), Number.MAX_SAFE_INTEGER)
  assert.deepStrictEqual(decodeBytes(row(rows.bytes)), Uint8Array.of(1, 2))
  for (const value of [rows.entry, rows.imported, rows.batch]) assert.deepStrictEqual(markOf(row(value)), mark)
})

it("a row that is cut short or of another format is refused, with its key", () => {
  const decoders = [
    [rows.entry.subarray(0, -3), decodeEntry],
    [rows.imported, decodeAdded],
    [rows.batch.subarray(0, -3), decodeBatch],
    [rows.number, decodeNumber]
  ] as const
  for (const [value, decode] of decoders) {
    const cuts = Array.from({ length: value.byteLength }, (_, length) => value.subarray(0, length))
    for (const bad of [...cuts, Uint8Array.from([2, ...value.subarray(1)])]) {
      assert.throws(() => decode(row(bad)), UnknownLogRow, /the row a row is not of a known format/)
    }
  }
})

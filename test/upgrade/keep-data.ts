/**
 * `npm run upgrade:keep`: makes the data directories, the backup and the calls of this release that later ones must
 * read, in `test/data/RELEASE-format-FORMAT`. Run once for a release and a format, with it; what it made is never
 * changed afterwards.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect } from "effect"
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { offlineBackup } from "../../src/cli/commands/OfflineBackup.ts"
import { RaftNode } from "../../src/node/RaftNode.ts"
import { restore } from "../../src/storage/backup/Restore.ts"
import { NewFormat } from "../../src/storage/DirectoryMarker.ts"
import { createDirectory } from "../../src/storage/Folder.ts"
import { SegmentBytes } from "../../src/storage/segments/SegmentBytes.ts"
import { checkOfBackup } from "../../src/machine/StateCheck.ts"
import { eventually } from "../../src/testing/Checks.ts"
import { version } from "../../src/Version.ts"
import { copyCrashImage } from "../storage/CrashImage.ts"
import { callsOfThisRelease } from "./KeptCalls.ts"
import type { Kept } from "./KeptContent.ts"
import {
  content,
  historyFrom,
  lastCommand,
  replyText,
  restoredId,
  run,
  session,
  text,
  withNode
} from "./KeptContent.ts"

/** The clock of a log stands still while its cluster is stopped, so this is enough for ever. */
const longMs = 5 * 86_400_000

const put = (key: string, value: string | Uint8Array, lease = 0) =>
  run({ _tag: "Put", key: text(key), value: typeof value === "string" ? text(value) : value, lease })

/** Keys and values of every kind, with a history. */
const writeKeys = Effect.gen(function*() {
  for (let i = 0; i < 30; i++) yield* put(`orders/${String(i % 7).padStart(3, "0")}`, `order ${i}`)
  yield* put("sizes/empty", "")
  yield* put("sizes/large", Uint8Array.from({ length: 20_000 }, (_, i) => i * 31 % 251))
  yield* run({ _tag: "Put", key: Uint8Array.of(0, 1, 0xfe), value: Uint8Array.of(0, 0xff), lease: 0 })
  yield* put("deleted", "for a while")
  yield* run({ _tag: "Delete", key: text("deleted") })
  yield* put("made again", "1")
  yield* run({ _tag: "Delete", key: text("made again") })
  yield* put("made again", "2")
  const kv = yield* KeyValue
  yield* kv.modify("counter", () => "1")
  yield* kv.modify("counter", () => "2")
})

const writeLeases = Effect.gen(function*() {
  const lease = yield* run({ _tag: "GrantLease", ttlMs: longMs })
  if (lease._tag !== "LeaseReply") throw new Error(lease._tag)
  yield* put("leased/one", "1", lease.lease)
  yield* put("leased/two", "2", lease.lease)
  yield* run({ _tag: "GrantLease", ttlMs: longMs, caller: "shop" })
  const ended = yield* run({ _tag: "GrantLease", ttlMs: longMs })
  if (ended._tag !== "LeaseReply") throw new Error(ended._tag)
  yield* put("leased/ended", "gone", ended.lease)
  yield* run({ _tag: "RevokeLease", lease: ended.lease })
})

const writeAccess = Effect.gen(function*() {
  const orders = [text("orders/")]
  yield* run({ _tag: "PutRole", role: { name: "reader", read: orders, write: [], admin: false } })
  yield* run({ _tag: "PutRole", role: { name: "writer", read: orders, write: orders, admin: false } })
  yield* run({ _tag: "PutUser", name: "shop", roles: ["reader", "writer"], maxLeases: 5, maxSessions: 6 })
  yield* run({ _tag: "AddToken", user: "shop", hash: new Uint8Array(32).fill(7), expiresMs: 0 })
  yield* run({ _tag: "PutUser", name: "guest", roles: [], maxLeases: 0, maxSessions: 1 })
})

/** A session with replies that are kept, as of a client whose answers were lost. */
const writeSession = Effect.gen(function*() {
  const { owner, secret } = session
  const opened = yield* run({ _tag: "OpenSession", ttlMs: longMs, secret, owner })
  if (opened._tag !== "SessionReply") throw new Error(opened._tag)
  const commandId = (sequence: number) => ({ session: opened.session, sequence, answered: 0, secret })
  yield* run({ _tag: "Put", key: text("sessions/first"), value: text("1"), lease: 0 }, commandId(1))
  const lastReply = yield* run(lastCommand, commandId(2))
  return { session: opened.session, lastSequence: 2, lastReply: replyText(lastReply) }
})

/** Files that RocksDB makes again, and that name the machine they were made on. */
const strip = (path: string): void => {
  for (const name of readdirSync(path)) {
    if (/^(?:LOG|LOCK|OPTIONS)/.test(name)) rmSync(join(path, name))
  }
}

/** The SHA-256 of the rows of a stopped node's state. */
const digestOf = (path: string, folder: string) =>
  Effect.map(
    offlineBackup({ from: path, file: join(folder, "digest"), force: true, replaced: false }),
    ({ totals }) => totals.digest
  )

const make = Effect.gen(function*() {
  const target = join("test/data", `${version}-format-${yield* NewFormat}`)
  if (existsSync(target)) throw new Error(`${target} is there already; what a release wrote is never changed`)
  const work = mkdtempSync(join(tmpdir(), "flaredb-kept-"))
  const [live, file] = [join(work, "node-1"), join(work, "backup")]
  // The first part of the log is compacted, and the tables of the second are behind it.
  const written = yield* withNode(
    live,
    Effect.gen(function*() {
      yield* writeKeys
      yield* writeLeases
      yield* writeAccess
      const last = yield* writeSession
      yield* run({ _tag: "Compact", through: historyFrom - 1 })
      const node = yield* RaftNode
      yield* eventually("a compacted log", Effect.map(node.status, ({ firstIndex }) => firstIndex > 1), 10_000)
      return { ...last, identity: yield* node.identity }
    })
  )
  const kept = yield* withNode(
    live,
    Effect.gen(function*() {
      for (let i = 0; i < 10; i++) yield* put(`later/${i}`, `value ${i}`)
      const all = yield* content
      // As kill -9 leaves it: the newest entries are in RocksDB's log alone.
      copyCrashImage(live, join(work, "killed"))
      return all
    })
  )
  const { header, totals } = yield* offlineBackup({ from: live, file, force: false, replaced: false })
  yield* restore({
    file,
    path: join(work, "restored"),
    clusterId: restoredId,
    nodeId: 1,
    voters: [1],
    keeps: () => true,
    check: checkOfBackup
  })
  // It has an identity of its own once it has led.
  yield* withNode(join(work, "restored"), Effect.void, restoredId)
  createDirectory(target)
  const digests: Record<string, string> = { backup: totals.digest }
  for (const [name, from] of [["stopped", "node-1"], ["killed", "killed"], ["restored", "restored"]] as const) {
    const to = join(target, name)
    cpSync(join(work, from), to, { recursive: true })
    strip(to)
    cpSync(to, join(work, `look-${name}`), { recursive: true })
    digests[name] = yield* digestOf(join(work, `look-${name}`), work)
  }
  cpSync(file, join(target, "backup"))
  const facts: Kept = {
    release: header.version,
    ...written,
    identity: String(written.identity),
    digests,
    content: kept
  }
  writeFileSync(join(target, "kept.json"), `${JSON.stringify(facts, undefined, 1)}\n`)
  const calls = callsOfThisRelease().map((call) => JSON.stringify(call))
  writeFileSync(join(target, "calls.json"), `[\n${calls.join(",\n")}\n]\n`)
  rmSync(work, { recursive: true, force: true })
  const bytes = readdirSync(target, { recursive: true, encoding: "utf8" })
    .reduce((sum, name) => sum + statSync(join(target, name)).size, 0)
  yield* Console.log(`${target}: ${Math.round(bytes / 1024)} KiB`)
})

// A segment is as long as it may become, in zeros: those of the usual length would be 32 MiB in each clone.
NodeRuntime.runMain(Effect.provideService(make, SegmentBytes, 64 * 1024))

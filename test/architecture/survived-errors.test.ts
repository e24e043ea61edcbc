/**
 * A node that cannot keep its promise stops. So the code that promises does not drop errors, and does not start work beside
 * itself whose error has no reader; where it does, the place is listed here with the reason why nothing is lost.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, it } from "vitest"

const source = join(import.meta.dirname, "../../src")

/** Ways to drop an error, or to start work that nobody waits for. */
const drops =
  /\b(tapCause|tapErrorCause|ignore|ignoreCause|orElseSucceed|catchCause|forkScoped|forkDetach|forkIn|runFork\w*)\b|Effect\.option\(|catch\(\(\) =>|, \(\) => undefined\)/

/** How many such places a file may have, and why. */
const accepted: Readonly<Record<string, readonly [places: number, why: string]>> = {
  "node/NodeLife.ts": [2, "`supervise` turns any cause into a stop; after a stop the other fibers end beside it"],
  "node/RaftNode.ts": [1, "starts the proof of a call of commands, which has its result, good or bad, as its answer"],
  "node/SerialWork.ts": [1, "a piece that fails ends `run`, which `supervise` waits for"],
  "node/snapshot/SnapshotSender.ts": [1, "each chunk's fiber is joined before the transfer is called done"],
  "node/trace/TraceFile.ts": [1, "logs that the trace is full, and cannot fail; a failed write stops the node"],
  "storage/backup/BackupReader.ts": [1, "closes a file that was only read"],
  "storage/backup/BackupWriter.ts": [
    3,
    "closes and removes what is left of a backup that failed; a good one was synced before, or is in a pipe"
  ],
  "storage/DiskWork.ts": [1, "keeps the order of closes; the caller has the error of its own one"],
  "storage/segments/SegmentLog.ts": [1, "without the next file there is none to close; `inBackground` has the error"],
  "storage/LogMove.ts": [1, "removes what a move that failed has written; the next start or move does it otherwise"],
  "storage/DirectoryRoom.ts": [1, "leaves a file out that the store has removed meanwhile"],
  "storage/backup/FolderLock.ts": [2, "a lock that is not touched, or not removed, is one whose holder is gone"],
  "storage/FirstFailure.ts": [2, "where failures of background work are recorded, which stops the node"],
  "storage/rocksdb/RocksMetrics.ts": [
    2,
    "only reads, for metrics; what is wrong there is noticed by the check beside it"
  ],
  "storage/rocksdb/WriteGate.ts": [1, "keeps the order of writes; the caller has the error, and `FirstFailure` too"],
  "storage/rocksdb/WriteBackCache.ts": [3, "the write gate has recorded the error before it comes here"]
}

it("no error is dropped in storage, node, machine and kv but where it is explained", () => {
  const found: Record<string, Array<string>> = {}
  for (const folder of ["storage", "node", "machine", "kv"]) {
    for (const name of readdirSync(join(source, folder), { recursive: true, encoding: "utf8" })) {
      if (!name.endsWith(".ts")) continue
      for (const line of readFileSync(join(source, folder, name), "utf8").split("\n")) {
        if (/^\s*(\*|\/\/|\/\*|import)/.test(line) || !drops.test(line)) continue
        ;(found[`${folder}/${name}`] ??= []).push(line.trim())
      }
    }
  }
  for (const [file, lines] of Object.entries(found)) {
    assert.equal(lines.length, accepted[file]?.[0] ?? 0, `${file}:\n${lines.join("\n")}`)
  }
  assert.sameMembers(Object.keys(found), Object.keys(accepted))
})

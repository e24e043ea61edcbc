/** Bugs of what is around the core: the driver, storage, transport, and the store. */
import type { Mutant } from "./Mutant.ts"
import { one } from "./Mutant.ts"

export const nodeMutants: ReadonlyArray<Mutant> = [
  one(
    "forgets its vote in a crash",
    { nodes: 20 },
    "storage/Codec.ts",
    "votedFor: votedFor ?? null",
    "votedFor: null"
  ),
  one(
    "takes a log whose tail was lost for one that ends there",
    { nodes: 2_000 },
    "storage/LogRecords.ts",
    "if (check.last.index < floor.index) {",
    "if (check.last.index < 0) {"
  ),
  one(
    "calls a write failed whose fate is unknown",
    { nodes: 50 },
    "node/EventLoop.ts",
    "new Indeterminate({ reason: `node ${this.options.nodeId} lost leadership before the write was committed` })",
    "this.options.refusals.notLeader(undefined)"
  ),
  one(
    "ends leases by what a deposed leader remembers",
    { nodes: 200 },
    "kv/model/Expiry.ts",
    "if (lease !== undefined && lease.deadlineMs <= logTimeMs) yield* revoke(batch, id)",
    "if (lease !== undefined) yield* revoke(batch, id)"
  ),
  one(
    "decides leases by the local clock",
    { nodes: 50 },
    "node/LogClock.ts",
    "this.estimateMs += Math.min(Math.max(0, monotonicMs - this.lastMs), this.maxStepMs)",
    "this.estimateMs += 3 * Math.max(0, monotonicMs - this.lastMs)"
  ),
  one(
    "looks for changes of a range under its first key alone",
    { nodes: 50 },
    "kv/FeedWaiters.ts",
    ": isPrefix(range)\n",
    ": isPrefix(range) || range.lt.byteLength > 0\n"
  ),
  one(
    "tells a watch the first record of the revision that was replaced",
    { nodes: 400 },
    "kv/StoredFeed.ts",
    "earlier.changes.find(({ key }) => Buffer.compare(key, change.key) === 0)?.record",
    "earlier.changes[0]?.record"
  ),
  one(
    "leaves out puts for a watch that asks for nothing else",
    { nodes: 50 },
    "kv/FeedPart.ts",
    "(only === \"puts\") === (record !== undefined)",
    "(only === \"puts\") === (record === undefined)"
  ),
  one(
    "takes a command that a later one of its session overtook for answered",
    { nodes: 50 },
    "kv/model/Apply.ts",
    "if (commandId.sequence <= session.answered) {",
    "if (commandId.sequence <= session.lastSequence) {"
  ),
  one(
    "carries out a repeated command again",
    { nodes: 20 },
    "kv/model/Apply.ts",
    "if (kept !== undefined) return kept\n  if (commandId.sequence <= session.answered) {",
    "if (kept === undefined && commandId.sequence <= session.answered) {"
  ),
  one(
    "goes on after a write that failed",
    { nodes: 50 },
    "storage/rocksdb/RocksLogStore.ts",
    "const written = Effect.map(this.entries.write(writes),",
    "const written = Effect.map(Effect.ignore(this.entries.write(writes)),"
  ),
  one(
    "steps the core in the middle of a step",
    { nodes: 50 },
    "node/EventLoop.ts",
    "        return this.roleChanged(output)\n",
    "        this.step({ _tag: \"Tick\" })\n        return this.roleChanged(output)\n"
  ),
  one(
    "judges a caller by roles of which it does not know all",
    { nodes: 500 },
    "node/NodeAccess.ts",
    "if (now === \"current\") return access.command(caller, command)",
    "if (now === \"current\" || now === \"behind\") return access.command(caller, command)"
  ),
  one(
    "answers a read for a role that was taken away while it waited",
    { nodes: 200 },
    "server/OperationGuard.ts",
    "  again: true,\n",
    "  again: false,\n"
  ),
  one(
    "refuses a caller for a role that it does not know yet",
    { nodes: 200 },
    "server/GuardedOperations.ts",
    "  if (!guarded.isRefusing) return Effect.succeed(guarded)\n",
    "  if (guarded.allowed.length >= 0) return Effect.succeed(guarded)\n"
  ),
  one(
    "lets a caller use the lease of another one",
    { nodes: 50 },
    "kv/KvAccess.ts",
    "} else if (lease.caller !== name) {",
    "} else if (lease.caller === \"\") {"
  ),
  one(
    "keeps the rights that a role had before",
    { nodes: 50 },
    "kv/model/access/AccessTable.ts",
    "    this.roles.set(role.name, role)\n    this.known = new Map()\n",
    "    this.roles.set(role.name, role)\n"
  ),
  one(
    "forgets what a transaction did whose answer was too large",
    { nodes: 200 },
    "kv/model/ReplyCodec.ts",
    "results: reader.u16(), bytes: bytes.byteLength })",
    "results: 0, bytes: bytes.byteLength })"
  ),
  one(
    "keeps answers whole, however large",
    { nodes: 200 },
    "kv/model/Batch.ts",
    "reply.byteLength <= maxWholeReplyBytes && this.makeReplyRoom",
    "this.makeReplyRoom"
  ),
  one(
    "raises the feature level over a voter that does not know it",
    { nodes: 50 },
    "node/OwnProposals.ts",
    "if (voter !== nodeId) target = Math.min(target, peers",
    "if (voter !== nodeId) target = Math.max(target, peers"
  ),
  one(
    "takes commands of a level that it knows and its cluster does not have",
    { nodes: 50 },
    "machine/OwnLevel.ts",
    "return needed <= this.current.level ?",
    "return needed <= this.known.level ?"
  ),
  one(
    "forgets the feature level when it ends",
    { nodes: 50 },
    "machine/OwnLevel.ts",
    "return level.success.level > this.current.level ?",
    "return level.success.level > this.known.level ?"
  ),
  one(
    "marks its directory for the first level that is raised alone",
    { nodes: 50 },
    "storage/DirectoryMarker.ts",
    "marker.required !== undefined && marker.required.level >= level ? undefined : {",
    "marker.required !== undefined ? undefined : {"
  ),
  one(
    "opens a directory of the level above those that it knows",
    { nodes: 50 },
    "storage/DirectoryMarker.ts",
    "if (required === undefined || required.level <= known.level) return undefined",
    "if (required === undefined || required.level <= known.level + 1) return undefined"
  ),
  one(
    "counts on a segment whose sync had failed",
    { test: "test/storage/segments-faults.test.ts" },
    "storage/segments/SegmentLog.ts",
    "if (unended && last !== undefined && last.last === this.last.index) await",
    "if (unended && last !== undefined && this.nextSequence === 0) await"
  ),
  one(
    "gives a segment its name before its bytes are durable",
    { test: "test/storage/segments-faults.test.ts" },
    "storage/segments/SegmentLog.ts",
    "    await writer.sync()\n    await writer.rename(path)\n",
    "    await writer.rename(path)\n"
  ),
  one(
    "does not sync the name of a new segment",
    { test: "test/storage/segments-faults.test.ts" },
    "storage/segments/EmptyFile.ts",
    "    await fsync(descriptor)\n    await syncFolderAsync(folder)\n",
    "    await fsync(descriptor)\n"
  ),
  one(
    "refuses a log for a header that a segment behind it makes up for",
    { test: "test/storage/segments-faults.test.ts" },
    "storage/segments/FoundLog.ts",
    "if (header.base === undefined && headers",
    "if (header.sequence < 0 && headers"
  ),
  one(
    "counts on an empty segment whose sync had failed",
    { test: "test/storage/segments-faults.test.ts" },
    "storage/segments/SegmentLog.ts",
    "if (unended && last !== undefined && last.last === this.last.index) await",
    "if (unended && last !== undefined && last.size > 48 && last.last === this.last.index) await"
  ),
  one(
    "decides how low its floor goes while it rises",
    { test: "test/storage/durable-floor.test.ts" },
    "storage/rocksdb/RocksLogStore.ts",
    "const lowered = Effect.suspend(() => this.floor.lower(writes, (index) => this.pointAt(index)))",
    "const lowered = this.floor.lower(writes, (index) => this.pointAt(index))"
  ),
  one(
    "takes a tail for durable whose removal could not be synced",
    { test: "test/storage/durable-floor.test.ts" },
    "storage/rocksdb/RocksLogStore.ts",
    "Effect.andThen(forgotten, written)",
    "Effect.tap(written, () => forgotten)"
  ),
  one(
    "stops in the middle of removing a tail",
    { test: "test/storage/durable-floor.test.ts" },
    "storage/rocksdb/RocksLogStore.ts",
    "return Effect.uninterruptible(Semaphore",
    "return Effect.suspend(() => Semaphore"
  ),
  one(
    "gives the durable floor its name before its bytes are synced",
    { test: "test/storage/floor-file.test.ts" },
    "storage/DurableFloor.ts",
    "        await next.sync()\n",
    ""
  ),
  one(
    "does not sync the name of a new durable floor",
    { test: "test/storage/floor-file.test.ts" },
    "storage/DurableFloor.ts",
    "      await syncFolderAsync(directory)\n",
    ""
  ),
  one(
    "syncs only the folder right above a data directory",
    { test: "test/storage/folder.test.ts" },
    "storage/Folder.ts",
    "parent !== child; child = parent, parent = dirname(child)",
    "parent !== child; parent = child"
  ),
  one(
    "does not notice that its directory was removed before it acknowledges",
    { test: "test/storage/failures.test.ts" },
    "storage/rocksdb/WalSync.ts",
    "if (this.rotated || !isAt(this.currentPath, this.currentId))",
    "if (this.rotated)"
  ),
  one(
    "goes on when the durable floor could not be written",
    { test: "test/storage/failures.test.ts" },
    "storage/FirstFailure.ts",
    "if (Cause.hasInterruptsOnly(cause)) return\n",
    "if (Cause.isCause(cause)) return\n"
  ),
  one(
    "keeps to itself that a batch of the state was refused",
    { test: "test/storage/failures.test.ts" },
    "storage/rocksdb/WriteGate.ts",
    "        this.failure.record(error)\n        throw error\n      }\n    })",
    "        throw error\n      }\n    })"
  ),
  one(
    "compacts entries that its core does not know to be applied",
    { test: "test/node/snapshots.test.ts" },
    "node/snapshot/Snapshotter.ts",
    "minIndex(meter.excess(), applied)",
    "minIndex(meter.excess(), Math.max(applied, 2 ** 52) as LogIndex)"
  ),
  one(
    "takes entries that it cannot apply",
    { test: "test/node/peer-claims.test.ts" },
    "node/IncomingEntries.ts",
    "if (invalid !== undefined) {",
    "if (invalid !== undefined && entry.index < 0) {"
  ),
  one(
    "raises the feature level while a voter is down",
    { test: "test/upgrade/feature-level.test.ts" },
    "node/OwnProposals.ts",
    "peers.get(voter)?.level ?? 0",
    "peers.get(voter)?.level ?? target"
  ),
  one(
    "proposes commands of a level that the cluster does not have",
    { test: "test/upgrade/feature-level.test.ts" },
    "machine/OwnLevel.ts",
    "return needed <= this.current.level ?",
    "return needed > 0 ?"
  ),
  one(
    "raises the feature level without marking its directory",
    { test: "test/upgrade/feature-level.test.ts" },
    "machine/OwnLevel.ts",
    "return this.store.requireLevel(level).pipe(\n      Effect.andThen(commit),",
    "return commit.pipe("
  ),
  one(
    "forgets the feature level with its memory",
    { test: "test/upgrade/feature-level.test.ts" },
    "machine/OwnLevel.ts",
    "const row = { _tag: \"Put\", key: levelRowKey, value: encodeLevelRow(level) } as const\n",
    "const row = { _tag: \"Delete\", key: levelRowKey } as const\n"
  ),
  one(
    "lets a peer in that does not know the level of the cluster",
    { test: "test/upgrade/handshakes.test.ts" },
    "transport/rpc/PeerHandshakes.ts",
    "if (required !== undefined && level < required.level) {",
    "if (required !== undefined && level < 1) {"
  ),
  one(
    "opens a directory of a level that it does not know",
    { test: "test/upgrade/formats.test.ts" },
    "storage/DirectoryMarker.ts",
    "if (required === undefined || required.level <= known.level) return undefined",
    "if (required === undefined || required.level > 0) return undefined"
  )
]

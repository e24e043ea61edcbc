/**
 * Whatever bytes come from a socket, a file or a disk: each decoder answers with a value or with its typed error. It never
 * throws anything else, never hangs, and never allocates what a length field announces and the input does not have.
 *
 * The inputs are drawn from a seed (`FUZZ_SEED`, 1 by default): random bytes, and valid ones that were damaged. Where a
 * checksum would keep damage from what lies behind it, half of the damaged inputs get a checksum that is right again.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { Rpc } from "effect/rpc"
import { RpcSerialization } from "effect/rpc"
import { crc32 } from "node:zlib"
import { clientProtocolVersion, ClientRpcs, maxBatchOperations } from "../../src/protocol/ClientRpcs.ts"
import { StateRpcs } from "../../src/protocol/StateRpcs.ts"
import { BackupDecoder, encodeBackupHeader } from "../../src/protocol/BackupFile.ts"
import { decodeBatch, encodeBatch } from "../../src/protocol/Batch.ts"
import { decodeEntries, decodeEntry, encodeEntries, encodeEntry } from "../../src/protocol/EntryRecord.ts"
import { CodecError } from "../../src/bytes/CodecError.ts"
import { decodeMessages, encodeMessages } from "../../src/protocol/MessageBatch.ts"
import { SnapshotDecoder, SnapshotEncoder } from "../../src/protocol/SnapshotChunk.ts"
import { decodeCommand, encodeCommand } from "../../src/kv/model/Command.ts"
import { decodeMetadata, encodeMetadata } from "../../src/kv/model/StoreMetadata.ts"
import type { Revision } from "../../src/kv/model/History.ts"
import { decodeRevisions, encodeRevisions } from "../../src/kv/model/History.ts"
import { HistoryBlock } from "../../src/kv/model/HistoryBlock.ts"
import { prefixRange } from "../../src/bytes/KeyRange.ts"
import { encodeRanges, KeyRanges } from "../../src/kv/model/KeyRanges.ts"
import { decodeRecord, encodeRecord as encodeKeyRecord } from "../../src/kv/model/KeyRecord.ts"
import { decodeRole, encodeRole } from "../../src/kv/model/access/Role.ts"
import { decodeUser, encodeUser } from "../../src/kv/model/access/User.ts"
import { decodeLease, encodeLease } from "../../src/kv/model/Lease.ts"
import { decodeQuery, encodeQuery } from "../../src/kv/model/Query.ts"
import { decodeReply, encodeReply, encodeScanReply } from "../../src/kv/model/ReplyCodec.ts"
import { decodeSession, encodeSession } from "../../src/kv/model/Session.ts"
import { factsOf } from "../../src/machine/StateFacts.ts"
import { LogIndex, NodeId, Term } from "../../src/raft/Types.ts"
import {
  decodeActiveFamily,
  decodeConfState,
  decodeHardState,
  decodeMarker,
  decodePoint,
  encodeRecord,
  indexOfLogKey
} from "../../src/storage/Codec.ts"
import type { Message } from "../../src/raft/Message.ts"
import { sampleEntries } from "../../src/testing/LogStoreSuite.ts"
import { PeerRpcs, protocolVersion } from "../../src/protocol/PeerRpcs.ts"
import { Random } from "../simulation/Random.ts"
import { someCluster } from "../client/Identities.ts"
import { blockOf } from "../kv/HistoryBlocks.ts"

const seed = Number(process.env["FUZZ_SEED"] ?? 1)

/** Numbers below a bound, the same ones for the same seed. */
const numbersFrom = (start: number) => {
  const random = new Random(start)
  return (below: number): number => random.below(below)
}

/** Numbers that programs get wrong: the ends of every width, and what is beside them. */
const absurd = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff]

type Draw = ReturnType<typeof numbersFrom>

const random = (next: Draw): Uint8Array => Uint8Array.from({ length: next(120) }, () => next(256))

/** A copy of `whole` with something wrong: bits, bytes, numbers, a cut, a repetition, a piece of another one. */
const damaged = (whole: Uint8Array, other: Uint8Array, next: Draw): Uint8Array => {
  let bytes = Buffer.from(whole)
  for (let times = 1 + next(3); times > 0 && bytes.byteLength > 0; times--) {
    const at = next(bytes.byteLength)
    switch (next(6)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << next(8))
        break
      case 1:
        bytes[at] = next(256)
        break
      case 2:
        if (at + 4 <= bytes.byteLength) bytes.writeUInt32BE(absurd[next(absurd.length)] ?? 0, at)
        break
      case 3:
        bytes = bytes.subarray(0, at)
        break
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(next(at + 1))])
        break
      default:
        bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(next(other.byteLength + 1))])
    }
  }
  return bytes
}

interface Target {
  readonly name: string
  readonly valid: ReadonlyArray<Uint8Array>
  /** Where a checksum of four bytes lies, over everything that follows `covers`. */
  readonly checksum?: { readonly at: number; readonly covers: number }
  /** Whether it took the bytes for something valid. Throws only what is a bug. */
  readonly decode: (bytes: Uint8Array) => boolean
}

const accepted = (value: unknown): boolean =>
  value !== undefined && !(value instanceof CodecError) &&
  !(typeof value === "object" && value !== null && "_tag" in value && value._tag === "Problem")

const key = Uint8Array.of(0x6b, 0xff)
const value = Uint8Array.of(1, 2, 3)
const record = { createRevision: 3, modRevision: 2 ** 40, version: 7, lease: 12, value }
const range = prefixRange(key)
const secret = Uint8Array.from({ length: 16 }, (_, i) => i)
const commandId = { session: 2 ** 36, sequence: 12, answered: 10, secret }
const transaction = {
  compares: [
    { _tag: "CompareValue", key, operator: "<=", value },
    { _tag: "CompareNumber", key, figure: "modRevision", operator: "!=", value: 2 ** 33 },
    { _tag: "CompareExists", key, exists: true }
  ],
  success: [{ _tag: "Put", key, value, lease: 9 }, { _tag: "Range", range, limit: 5, keysOnly: true, reverse: true }],
  failure: [{ _tag: "DeleteRange", range }, { _tag: "Get", key: value }]
} as const
const revisionAt = (revision: number): Revision => ({
  revision,
  logTimeMs: 1_700_000_000_000,
  changes: [
    { key, record, previousRevision: 3, previous: record },
    { key: value, record: undefined, previousRevision: 3, previous: undefined }
  ]
})
const revisions = [revisionAt(8)]

const point = { index: 3, term: 2 }
const rows = [{ key: Uint8Array.of(1, 1), value }, { key: Uint8Array.of(1, 2), value: new Uint8Array(500) }]
const snapshot = () => {
  const encoder = new SnapshotEncoder()
  const chunks = rows.flatMap((row) => encoder.add(row))
  return [...chunks, ...encoder.end().chunks]
}
const header = encodeBackupHeader({
  clusterId: "orders",
  identity: someCluster,
  nodeId: 1,
  version: "1",
  machine: "kv",
  index: 3,
  term: 1,
  revision: 2,
  logTimeMs: 1,
  createdMs: 1,
  estimatedBytes: 500
})

const messages: ReadonlyArray<Message> = [
  {
    _tag: "AppendRequest",
    from: NodeId(1),
    to: NodeId(2),
    term: Term(2),
    prev: { index: LogIndex(0), term: Term(0) },
    entries: sampleEntries(1, 2, 2),
    commit: LogIndex(1)
  },
  {
    _tag: "JoinResponse",
    from: NodeId(1),
    to: NodeId(2),
    term: Term(3),
    joinId: 4,
    fresh: true,
    learnThrough: undefined
  }
]

const kv: ReadonlyArray<Target> = [
  {
    name: "commands",
    valid: [
      encodeCommand({ _tag: "Put", key, value, lease: 1 }),
      encodeCommand({ _tag: "Transact", transaction }, commandId),
      encodeCommand({ _tag: "Expire", leases: [1, 2 ** 35], sessions: [3] }),
      encodeCommand({ _tag: "Compact", through: 2 ** 41 }),
      encodeCommand({ _tag: "GrantLease", ttlMs: 10_000 }),
      encodeCommand({ _tag: "Checkpoint", token: 2 ** 40 }),
      encodeCommand({ _tag: "CloseSession" }, commandId)
    ],
    decode: (bytes) => accepted(decodeCommand(bytes))
  },
  {
    name: "queries",
    valid: [
      encodeQuery({ _tag: "Get", key }),
      encodeQuery({ _tag: "Scan", range, limit: 7, keysOnly: true, reverse: true }),
      encodeQuery({
        _tag: "Transact",
        transaction: { compares: transaction.compares, success: [{ _tag: "Get", key }], failure: [] }
      }),
      encodeQuery({ _tag: "LeaseKeys", lease: 7 })
    ],
    decode: (bytes) => accepted(decodeQuery(bytes))
  },
  {
    name: "replies",
    valid: [
      encodeReply({ _tag: "PutReply", revision: 5, createRevision: 4, version: 2 }),
      encodeReply({
        _tag: "TransactionReply",
        revision: 6,
        succeeded: true,
        results: [{ _tag: "Get", record }, { _tag: "Range", more: true, rows: [{ key, record }] }]
      }),
      encodeReply({
        _tag: "RefusedReply",
        revision: 9,
        reason: "lease-not-found",
        field: "lease",
        text: "7 has ended",
        current: 1,
        maximum: 2
      }),
      encodeReply({ _tag: "LeaseKeysReply", revision: 9, lease: 9, ttlMs: 5, remainingMs: 1, keys: [key, value] }),
      encodeScanReply(9, [{ key, record: encodeKeyRecord(record) }], true)
    ],
    decode: (bytes) => accepted(decodeReply(bytes))
  },
  {
    name: "blocks of history",
    valid: [
      blockOf(revisions).row.value,
      blockOf(Array.from({ length: 5 }, (_, i) => revisionAt(8 + i)), 500).row.value
    ],
    decode: (bytes) => {
      const block = HistoryBlock.decode(8, bytes)
      if (block === undefined) return false
      for (let revision = block.first; revision <= block.last; revision++) {
        block.head(revision)
        if (block.revision(revision) === undefined) return false
      }
      return true
    }
  },
  {
    name: "told history",
    valid: [encodeRevisions(revisions, true)],
    decode: (bytes) => accepted(decodeRevisions(bytes))
  },
  {
    name: "rows of keys, leases, sessions and metadata",
    valid: [
      encodeKeyRecord(record),
      encodeLease({ id: 1, ttlMs: 2, deadlineMs: 3, keys: 4, caller: "" }),
      encodeSession({ ttlMs: 1, heardMs: 2, answered: 3, openedMs: 1, secret, owner: "orders", caller: "" }),
      encodeLease({ id: 1, ttlMs: 2, deadlineMs: 3, keys: 4, caller: "orders" }),
      encodeSession({ ttlMs: 1, heardMs: 2, answered: 3, openedMs: 1, secret, owner: "", caller: "orders" }),
      encodeRole({ read: [key], write: [key, value], admin: false }),
      encodeUser({
        name: "orders",
        roles: ["shop"],
        maxLeases: 1,
        maxSessions: 2,
        tokens: [{ id: 1, createdMs: 2, expiresMs: 3, hash: new Uint8Array(32) }]
      }),
      encodeMetadata({ revision: 4, compacted: 2, logTimeMs: 9, historyBytes: 500, compactedBytes: 100 })
    ],
    decode: (bytes) => {
      const values = [
        decodeRecord(bytes),
        decodeLease(1, bytes),
        decodeSession(bytes),
        decodeMetadata(bytes),
        decodeRole("shop", bytes),
        decodeUser("orders", bytes)
      ]
      factsOf([{ key: Uint8Array.of(1), value: bytes }, { key: Uint8Array.of(1, 0x66), value: bytes }])
      return values.some(accepted)
    }
  }
]

const disk: ReadonlyArray<Target> = [
  {
    name: "entries",
    valid: sampleEntries(1, 4, 2).map(encodeEntry),
    checksum: { at: 0, covers: 4 },
    decode: (bytes) => accepted(decodeEntry(bytes))
  },
  {
    name: "blobs of entries",
    valid: [encodeEntries(sampleEntries(1, 4, 2))],
    checksum: { at: 4, covers: 8 },
    decode: (bytes) => accepted(decodeEntries(bytes))
  },
  {
    name: "batches of messages",
    valid: [encodeMessages(messages), ...messages.map((message) => encodeMessages([message]))],
    decode: (bytes) => accepted(decodeMessages(bytes))
  },
  {
    name: "batches",
    valid: [encodeBatch([key, value, new Uint8Array(0), new Uint8Array(90)])],
    decode: (bytes) => accepted(decodeBatch(bytes, maxBatchOperations))
  },
  {
    name: "snapshot chunks",
    valid: snapshot(),
    checksum: { at: 0, covers: 4 },
    decode: (bytes) => accepted(new SnapshotDecoder().take(bytes))
  },
  {
    name: "backups",
    valid: [header, Buffer.concat([header, ...snapshot()])],
    checksum: { at: 8, covers: 12 },
    decode: (bytes) => {
      const decoder = new BackupDecoder()
      const half = bytes.byteLength >> 1
      const parts = decoder.take(bytes.subarray(0, half))
      return accepted(parts) && accepted(decoder.take(bytes.subarray(half))) && accepted(decoder.end())
    }
  },
  {
    name: "records of raft_state and the durable floor",
    valid: [
      encodeRecord({ formatVersion: 4, clusterId: "orders", nodeId: 1, voters: [1, 2, 3], createdMs: 5 }),
      encodeRecord({ term: 4, votedFor: null, commit: 7, standing: "newcomer" }),
      encodeRecord({ voters: [1, 2, 3] }),
      encodeRecord(point),
      encodeRecord({ family: "state_a", installed: point })
    ],
    checksum: { at: 0, covers: 4 },
    decode: (bytes) => {
      indexOfLogKey(bytes)
      return [decodeMarker, decodeHardState, decodeConfState, decodePoint, decodeActiveFamily]
        .map((decode) => decode(bytes)).some(accepted)
    }
  }
]

const serialization = Effect.runSync(
  Effect.provide(RpcSerialization.RpcSerialization, RpcSerialization.layerSchemaBinary({ maxFrameSize: 1024 * 1024 }))
)

/** A decoder whose typed error is thrown: the schema error, and nothing else. */
const unlessSchemaError = (decode: () => unknown): boolean => {
  try {
    decode()
    return true
  } catch (error) {
    if (Schema.isSchemaError(error)) return false
    throw error
  }
}

const calls: ReadonlyArray<readonly [rpc: string, payload: unknown]> = [
  ["client.Hello", { protocolVersion: clientProtocolVersion }],
  ["client.Write", { commands: encodeBatch([encodeCommand({ _tag: "Delete", key })]) }],
  ["client.Read", { consistency: "stale", from: "any", queries: encodeBatch([encodeQuery({ _tag: "Get", key })]) }],
  ["client.Watch", {
    ranges: encodeRanges(KeyRanges.of({ gte: key, lt: value })),
    from: 7,
    previous: true,
    only: "puts"
  }],
  ["client.Changes", { watch: 1, from: 2, waitMs: 3 }],
  ["client.TransferLeader", { target: null }],
  ["state.HashState", { marker: new Uint8Array(16) }],
  ["peer.Hello", { clusterId: "orders", identity: null, instance: "0".repeat(32), from: 1, to: 2, protocolVersion }],
  ["peer.OfferSnapshot", { term: 1, point, estimatedBytes: 5 }],
  ["peer.SnapshotChunk", { chunk: new Uint8Array(20) }],
  [
    "peer.Deliver",
    {
      messages: encodeMessages(messages)
    }
  ]
]

const rpcOf = (tag: string): Rpc.AnyWithProps => {
  for (const group of [ClientRpcs, StateRpcs, PeerRpcs]) {
    const rpc = (group.requests as ReadonlyMap<string, Rpc.Any>).get(tag)
    if (rpc !== undefined) return rpc as Rpc.AnyWithProps
  }
  throw new Error(`there is no call ${tag}`)
}

const payloads = calls.map(([tag, payload]): Target => {
  const codec = serialization.codecFor(rpcOf(tag).payloadSchema as Schema.Codec<unknown, unknown>)
  const decode = Schema.decodeUnknownSync(codec)
  return {
    name: `the payload of ${tag}`,
    valid: [Schema.encodeUnknownSync(codec)(payload) as Uint8Array],
    decode: (bytes) =>
      unlessSchemaError(() => {
        decode(bytes)
      })
  }
})

const frames: Target = {
  name: "frames",
  valid: payloads.map(({ valid }, id): Uint8Array =>
    serialization.makeUnsafe().encode({
      _tag: "Request",
      id: id % 2 === 0 ? id : String(id),
      tag: calls[id]?.[0] ?? "",
      payload: valid[0],
      headers: [["a", "b"]]
    } as never) as Uint8Array
  ),
  decode: (bytes) => {
    const parser = serialization.makeUnsafe()
    return unlessSchemaError(() => {
      const third = Math.floor(bytes.byteLength / 3)
      parser.decode(bytes.subarray(0, third))
      parser.decode(bytes.subarray(third))
      parser.decode(new Uint8Array(0))
    })
  }
}

const perTarget = 5_000

const rightAgain = (bytes: Uint8Array, { at, covers }: NonNullable<Target["checksum"]>): Uint8Array => {
  const buffer = Buffer.from(bytes)
  if (buffer.byteLength >= covers) buffer.writeUInt32BE(crc32(buffer.subarray(covers)), at)
  return buffer
}

const targets = [...kv, ...disk, ...payloads, frames]

const memory = (): number => {
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return arrayBuffers + heapUsed
}

it("covers a hundred thousand inputs", () => {
  assert.isAtLeast(targets.length * perTarget, 100_000)
})

describe("random and damaged bytes are a value or a typed error", () => {
  for (const target of targets) {
    it(target.name, () => {
      for (const whole of target.valid) target.decode(whole)
      assert.isTrue(target.decode(target.valid.at(-1) as Uint8Array) || target.name === "snapshot chunks")
      const next = numbersFrom(seed + target.name.length * 7919)
      const pick = () => target.valid[next(target.valid.length)] as Uint8Array
      let refused = 0
      for (let i = 0; i < perTarget; i++) {
        let bytes = i % 5 === 0 ? random(next) : damaged(pick(), pick(), next)
        if (target.checksum !== undefined && next(2) === 0) bytes = rightAgain(bytes, target.checksum)
        const copy = Uint8Array.from(bytes)
        const startedMs = performance.now()
        try {
          if (!target.decode(bytes)) refused++
        } catch (error) {
          assert.fail(`FUZZ_SEED=${seed}, input ${i} (${Buffer.from(copy).toString("hex")}): ${error}`)
        }
        assert.isBelow(performance.now() - startedMs, 1_000, `input ${i} took long`)
        assert.deepStrictEqual(Buffer.compare(copy, bytes), 0, `input ${i} was changed by its decoder`)
      }
      assert.isAbove(refused, perTarget / 10, "hardly anything was refused: the inputs are not damaged enough")
    })
  }
})

describe("a length of 4 GiB in a few bytes allocates nothing", () => {
  for (const target of targets) {
    it(target.name, () => {
      for (const whole of target.valid) {
        for (let at = 0; at + 4 <= Math.min(whole.byteLength, 64); at++) {
          for (const length of [0xff, 0x7f]) {
            const bytes = Uint8Array.from(whole)
            bytes.set([length, 0xff, 0xff, 0xff], at)
            const input = target.checksum === undefined ? bytes : rightAgain(bytes, target.checksum)
            const before = memory()
            target.decode(input)
            assert.isBelow(memory() - before, 8 * 1024 * 1024, `at byte ${at}`)
          }
        }
      }
    })
  }
})

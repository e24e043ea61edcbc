/**
 * `npm run bench:micro [-- --json]`: what a put costs in each part of a node by itself, so that a regression is seen in its place.
 * Every figure is for one entry of a batch of 64, which is what a busy node works with, with a value of 128 bytes.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Context, Effect, FileSystem, Layer, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { RpcMessage, RpcSerialization } from "effect/rpc"
import { Bench } from "tinybench"
import { machine } from "../../src/cli/bench/Report.ts"
import { table } from "../../src/cli/output/Table.ts"
import { decodeBatch, encodeBatch } from "../../src/protocol/Batch.ts"
import { decodeEntry, encodeEntry } from "../../src/protocol/EntryRecord.ts"
import { CodecError } from "../../src/bytes/CodecError.ts"
import { decodeMessages, encodeMessages } from "../../src/protocol/MessageBatch.ts"
import { decodeCommand, encodeCommand } from "../../src/kv/model/Command.ts"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import { StateMachine } from "../../src/machine/StateMachine.ts"
import type { Message } from "../../src/raft/Message.ts"
import type { Entry } from "../../src/raft/Types.ts"
import { LogIndex, NodeId, origin, Term } from "../../src/raft/Types.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { PeerRpcs } from "../../src/protocol/PeerRpcs.ts"
import { Cores } from "./Cores.ts"

const batch = 64
const numbers = Array.from({ length: batch }, (_, i) => i)

const keyOf = (i: number) => new TextEncoder().encode(`bench/${String(i).padStart(6, "0")}`)
const commandOf = (i: number) =>
  encodeCommand({ _tag: "Put", key: keyOf(i), value: new Uint8Array(128).fill(i), lease: 0 })
const payloads = numbers.map(commandOf)

/** New objects each time: an entry remembers its encoded form. */
const entriesFrom = (first: number): ReadonlyArray<Entry> =>
  payloads.map((payload, i) => ({
    index: LogIndex(first + i),
    term: Term(1),
    kind: "command",
    timestampMs: 0,
    payload
  }))

/** What the peer port does with a message: the schema's encoding, the frame, and both again in the other direction. */
const frame = Effect.gen(function*() {
  const { codecFor, makeUnsafe } = yield* RpcSerialization.RpcSerialization
  const deliver = PeerRpcs.requests.get("peer.Deliver")
  if (deliver === undefined) throw new Error("there is no call peer.Deliver")
  const codec = codecFor(deliver.payloadSchema) as Schema.Codec<unknown, unknown>
  const encode = Schema.encodeUnknownSync(codec)
  const decode = Schema.decodeUnknownSync(codec)
  const sender = makeUnsafe()
  const receiver = makeUnsafe()
  const id = RpcMessage.RequestId("1")
  return (entries: ReadonlyArray<Entry>): void => {
    const message: Message = {
      _tag: "AppendRequest",
      from: NodeId(1),
      to: NodeId(2),
      term: Term(1),
      prev: origin,
      entries,
      commit: LogIndex(0)
    }
    const payload = encode({ messages: encodeMessages([message]) })
    const bytes = sender.encode({
      _tag: "Request",
      id,
      tag: "peer.Deliver",
      payload,
      headers: [],
      isNotification: true
    })
    const [request] = receiver.decode(bytes as Uint8Array) as ReadonlyArray<{ readonly payload: unknown }>
    const { messages } = decode(request?.payload) as { readonly messages: Uint8Array }
    if (decodeMessages(messages) instanceof CodecError) throw new Error("it did not arrive")
  }
}).pipe(Effect.provide(RpcSerialization.layerSchemaBinary({ maxFrameSize: "unbounded" })))

const run = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const path = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-micro-" })
  const services = yield* Layer.build(
    KvStateMachine.layer.pipe(
      Layer.provideMerge(
        RocksStorage.layer({ path, clusterId: "micro", nodeId: 1, voters: [1], unsafeNoFsync: true })
      )
    )
  )
  const stateMachine = Context.get(services, StateMachine)
  const database = Context.get(services, RocksDb)
  const transport = yield* frame
  const cores = new Cores()
  const records = entriesFrom(1).map(encodeEntry)
  const packed = encodeBatch(payloads)
  let applied = 0
  let stored = 0

  const bench = new Bench({ time: 1_000, warmupTime: 500, throws: true })
  bench.add("core: proposed, sent, committed and applied by three", () => cores.commit(payloads))
  bench.add("command: encoded", () => {
    for (const i of numbers) commandOf(i)
  })
  bench.add("command: decoded", () => {
    for (const payload of payloads) decodeCommand(payload)
  })
  bench.add("client's batch: packed and unpacked", () => {
    encodeBatch(payloads)
    decodeBatch(packed, batch)
  })
  bench.add("log record: encoded", () => {
    for (const entry of entriesFrom(1)) encodeEntry(entry)
  })
  bench.add("log record: decoded, checksum and all", () => {
    for (const record of records) decodeEntry(record)
  })
  bench.add("peer frame: encoded, decoded", () => transport(entriesFrom(1)))
  bench.add("state machine: applied and handed to the store", () => {
    const entries = entriesFrom(applied + 1)
    applied += batch
    return Effect.runPromise(stateMachine.apply(entries))
  })
  const operations = () => {
    stored += batch
    return records.map((value, i) => {
      const key = new Uint8Array(8)
      new DataView(key.buffer).setFloat64(0, stored + i)
      return { _tag: "Put", key, value } as const
    })
  }
  bench.add(
    "storage: a batch, not synced",
    () => Effect.runPromise(database.writeAll([{ family: "raft_log", operations: operations() }]))
  )
  yield* Effect.promise(() => bench.run())
  return bench.tasks.map(({ name, result }) => {
    if (result.state !== "completed") throw new Error(`${name}: ${result.state}`)
    const { p50, p99, samplesCount } = result.latency
    const each = (milliseconds: number) => (milliseconds * 1_000) / batch
    return { name, p50: each(p50), p99: each(p99), samples: samplesCount }
  })
}).pipe(Effect.scoped)

const micro = Command.make(
  "bench:micro",
  { json: Flag.Boolean("json").pipe(Flag.withDefault(false)) },
  ({ json }) =>
    Effect.flatMap(run, (figures) => {
      if (json) return Console.log(JSON.stringify(figures, null, 2))
      const rows = figures.map(({ name, p50, p99, samples }) => [name, p50.toFixed(2), p99.toFixed(2), String(samples)])
      return Effect.andThen(
        Console.log(`${machine()}; µs for one entry of a batch of ${batch}`),
        Console.log(table([["WHAT", "P50", "P99", "RUNS"], ...rows]))
      )
    })
)

micro.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)

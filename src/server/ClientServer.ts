/**
 * The client port: `ClientRpcs` over TCP, answered by the node of this process. It holds no state of its own, so
 * that any number of clients may come and go.
 */
import { Context, Effect, Exit, Layer, Semaphore } from "effect"
import { watchTables } from "../BoundedTables.ts"
import { clientShapes } from "../protocol/CallShapes.ts"
import {
  clientProtocolVersion,
  ClientRpcs,
  maxBatchBytes,
  maxBatchOperations,
  type Welcome,
  WrongProtocol
} from "../protocol/ClientRpcs.ts"
import type { Consistency, ReadFrom } from "../protocol/ReadMode.ts"
import { StateRpcs } from "../protocol/StateRpcs.ts"
import { decodeBatch, encodeBatch } from "../protocol/Batch.ts"
import { CodecError } from "../bytes/CodecError.ts"
import type { Trace } from "../protocol/Trace.ts"
import type { Limits } from "../config/Limits.ts"
import { clientPortConnections, defaultLimits } from "../config/Limits.ts"
import type { ReadError, WriteError } from "../FlareDbError.ts"
import { InvalidArgument, NoHello, Overloaded } from "../FlareDbError.ts"
import { encodeRevisions } from "../kv/model/History.ts"
import { decodeRanges, KeyRanges } from "../kv/model/KeyRanges.ts"
import { maxKeyBytes, maxPageBytes, maxValueBytes } from "../kv/model/Limits.ts"
import { RaftNode } from "../node/RaftNode.ts"
import type { DirectCall } from "../net/DirectCalls.ts"
import { Gate } from "../net/Gate.ts"
import type { BoundAddress, ListenError } from "../net/Listening.ts"
import { formatBound } from "../net/Listening.ts"
import { Offences } from "../net/Offences.ts"
import { serve } from "../net/TcpServer.ts"
import { version } from "../Version.ts"
import type { CallRoom } from "./AnswerBudget.ts"
import { AnswerBudget, maxWaiting } from "./AnswerBudget.ts"
import type { ConnectionQuota } from "./ConnectionQuotas.ts"
import { ConnectionQuotas } from "./ConnectionQuotas.ts"
import * as NodeOperations from "./NodeOperations.ts"
import { StateServer } from "./StateServer.ts"
import { WatchServer } from "./WatchServer.ts"
import { noBytes } from "../bytes/Binary.ts"

export interface ClientServerOptions {
  readonly clusterId: string
  readonly nodeId: number
  /** Port 0 lets the system choose. */
  readonly listen: { readonly host: string; readonly port: number }
  /** Operations of all clients under way; more are refused as `Overloaded`. */
  readonly maxOperations: number
  /** See `FlareDbConfig.Limits`. */
  readonly limits?: PortLimits
  /** Milliseconds after which a connection on which nothing moves is closed. Default 15,000. */
  readonly idleTimeoutMs?: number | undefined
}

const defaultIdleTimeoutMs = 15_000

type PortLimits = Pick<
  Limits,
  | "maxClientConnections"
  | "maxFrameMs"
  | "maxHandshakeMs"
  | "maxPendingAnswerBytes"
  | "maxPendingCallBytes"
  | "maxPendingCalls"
  | "maxUnfinishedBytes"
>

/** Where the client port really is. */
export class ClientAddress extends Context.Service<ClientAddress, BoundAddress>()("flaredb/server/ClientAddress") {}

/** A batch, one operation of the largest size, and the frame around them. */
const maxFrameBytes = maxBatchBytes + maxValueBytes + maxKeyBytes + 64 * 1024

/** Answers to reads from this many bytes on are large. */
const largeBytes = 256 * 1024

/** Answers to writes up to this many bytes are not counted. */
const smallBytes = 64 * 1024

const Rpcs = ClientRpcs.merge(StateRpcs)

/** Bytes of a query and of its answer, as far as they are known before they are looked at. */
const queryBytes = 64
const answerBytes = 64 * 1024

/** The handler of a call that is made directly; it is never called. */
const notDirect = () => Effect.die(new Error("this call has a direct handler"))

interface Answers<Failure> {
  readonly replies: Uint8Array
  readonly failures: ReadonlyArray<{ readonly slot: number; readonly error: Failure }>
}

type WriteAnswers = Answers<WriteError>
type ReadAnswers = Answers<ReadError>
type WriteCall = DirectCall<WriteAnswers, InvalidArgument | Overloaded | NoHello>
type ReadCall = DirectCall<ReadAnswers, InvalidArgument | Overloaded | NoHello>

const isBatch = (parts: ReadonlyArray<Uint8Array> | InvalidArgument | Overloaded): parts is ReadonlyArray<Uint8Array> =>
  Array.isArray(parts)

const bytesOf = (results: ReadonlyArray<unknown>): number => {
  let bytes = 0
  for (const result of results) if (result instanceof Uint8Array) bytes += result.byteLength
  return bytes
}

const make = Effect.fnUntraced(function*(options: ClientServerOptions) {
  const node = yield* RaftNode
  const watches = yield* WatchServer
  const states = yield* StateServer
  const operations = yield* NodeOperations.make(node, watches, options.clusterId)
  let underWay = 0
  const limits = options.limits ?? defaultLimits
  const { maxClientConnections } = limits
  const offences = yield* Offences.make("client")
  const gate = new Gate(Rpcs, {
    hello: "client.Hello",
    noHello: (call) => new NoHello({ call }),
    overloaded: (error) => error
  })
  const sweepMs = 250
  const answers = new AnswerBudget(limits.maxPendingAnswerBytes, offences.nowMs)
  yield* Effect.forkScoped(
    Effect.forever(Effect.andThen(Effect.sleep(sweepMs), Effect.sync(() => answers.sweep())))
  )
  const newQuota = yield* ConnectionQuotas
  const quotas = new Map<number, ConnectionQuota>()
  yield* watchTables([
    {
      table: "client_connections",
      entries: () => gate.size,
      limit: maxClientConnections,
      setting: "maxClientConnections"
    },
    {
      table: "client_operations",
      entries: () => underWay,
      limit: options.maxOperations,
      setting: "maxPendingProposals + maxPendingReads"
    },
    {
      table: "client_answer_bytes",
      entries: () => answers.bytes,
      limit: answers.maxBytes,
      setting: "maxPendingAnswerBytes"
    },
    { table: "client_answers_waiting", entries: () => answers.waiting, limit: maxWaiting, setting: "maxWaiting" }
  ])

  const welcome = (
    clientId: number,
    protocolVersion: number
  ): Effect.Effect<typeof Welcome.Type, WrongProtocol | Overloaded> => {
    if (protocolVersion !== clientProtocolVersion) {
      gate.dismiss(clientId)
      offences.reportCaller(
        "refused-hello",
        clientId,
        `refused a client with protocol ${protocolVersion}; this node speaks ${clientProtocolVersion}`
      )
      return Effect.fail(new WrongProtocol({ server: clientProtocolVersion, client: protocolVersion }))
    }
    if (gate.size >= maxClientConnections && !gate.admits(clientId)) {
      offences.reportCaller(
        "too-many-connections",
        clientId,
        `refused a client: maxClientConnections is at ${gate.size} of ${maxClientConnections}`
      )
      return Effect.fail(
        new Overloaded({ limit: "maxClientConnections", current: gate.size, maximum: maxClientConnections })
      )
    }
    gate.admit(clientId)
    return Effect.map(node.identity, (identity) => ({
      clusterId: options.clusterId,
      identity: identity ?? null,
      nodeId: options.nodeId,
      version
    }))
  }

  /** Unpacks a batch and counts its operations, which {@link ended} is to take back. */
  const begin = (field: string, batch: Uint8Array): ReadonlyArray<Uint8Array> | InvalidArgument | Overloaded => {
    // The batch is a view of what the socket received, and its parts outlive the call: one copy for all of them.
    const parts = decodeBatch(new Uint8Array(batch), maxBatchOperations)
    if (parts instanceof CodecError) return new InvalidArgument({ field, problem: parts.message })
    if (underWay + parts.length > options.maxOperations) {
      return new Overloaded({ limit: "maxClientOperations", current: underWay, maximum: options.maxOperations })
    }
    underWay += parts.length
    return parts
  }
  const ended = (parts: ReadonlyArray<Uint8Array>): void => {
    underWay -= parts.length
  }

  const quotaOf = (clientId: number) => {
    const known = quotas.get(clientId)
    if (known !== undefined) return known
    const quota = newQuota()
    if (quota !== undefined) quotas.set(clientId, quota)
    return quota
  }
  const write = (
    { commands, traces }: { readonly commands: Uint8Array; readonly traces?: ReadonlyArray<Trace> },
    call: WriteCall
  ): Effect.Effect<WriteAnswers, InvalidArgument | Overloaded> | undefined => {
    const excess = answers.excess(call.clientId)
    if (excess !== undefined) return Effect.fail(excess)
    const parts = begin("commands", commands)
    if (!isBatch(parts)) return Effect.fail(parts)
    const answerOf = (results: ReadonlyArray<Uint8Array | WriteError>): WriteAnswers => {
      // What was committed is answered, however large. It counts against what this client may read meanwhile.
      const bytes = bytesOf(results)
      if (bytes > smallBytes) keepRoom(call).trim(bytes)
      return pack(results)
    }
    const quota = quotaOf(call.clientId)
    if (quota?.counts(parts) === true) {
      const written = Effect.map(quota.write(parts, node.propose), answerOf)
      return Effect.ensuring(written, Effect.sync(() => ended(parts)))
    }
    call.onAbandoned = () => ended(parts)
    node.proposeUnsafe(parts, "client", (results) => {
      if (call.isOver) return
      ended(parts)
      call.respondWith(() => Exit.succeed(answerOf(results)))
    }, traces)
    return undefined
  }
  /** Room for the answers of a call, until they were taken. */
  const keepRoom = (call: WriteCall | ReadCall): CallRoom => {
    const room = answers.room(call.clientId)
    call.onTaken = () => room.release()
    return room
  }
  const turns = yield* Semaphore.make(1)
  /** Large answers are packed and encoded one in a turn of the event loop: heartbeats and others go between. */
  const turn = Effect.map(turns.take(1), () => {
    setImmediate(() => Effect.runFork(turns.release(1)))
  })
  const read = (
    { consistency, from, queries, traces }: {
      readonly consistency: Consistency
      readonly from: ReadFrom
      readonly queries: Uint8Array
      readonly traces?: ReadonlyArray<Trace>
    },
    call: ReadCall
  ) => {
    const room = keepRoom(call)
    const answered = Effect.suspend((): Effect.Effect<ReadAnswers, InvalidArgument | Overloaded> => {
      const parts = begin("queries", queries)
      if (!isBatch(parts)) return Effect.fail(parts)
      const read = Effect.flatMap(node.query(parts, consistency, from, room, traces), (results) => {
        const bytes = bytesOf(results)
        room.trim(bytes)
        if (bytes > largeBytes) return Effect.map(turn, () => pack(results))
        const [first] = results
        // One refusal for all is a short answer; thousands would be a long one.
        return first instanceof Overloaded && results.every((result) => result === first)
          ? Effect.fail(first)
          : Effect.succeed(pack(results))
      })
      return Effect.ensuring(read, Effect.sync(() => ended(parts)))
    })
    // Room comes first: a call that waits for it is neither unpacked nor copied.
    const expected = Math.min(Math.ceil(queries.byteLength / queryBytes) * answerBytes, maxPageBytes)
    return Effect.flatMap(room.reserve(expected), (refusal) => refusal === undefined ? answered : Effect.fail(refusal))
  }
  const handlers = ClientRpcs.toLayer({
    "client.Hello": ({ protocolVersion }, { client }) => Effect.suspend(() => welcome(client.id, protocolVersion)),
    "client.Write": notDirect,
    "client.Read": notDirect,
    "client.Watch": ({ from, only, previous, ranges }, { client }) =>
      Effect.suspend(() => {
        const decoded = decodeRanges(ranges)
        return decoded instanceof KeyRanges
          ? watches.open(client.id, { ranges: decoded, from: from ?? undefined, previous, only: only ?? undefined })
          : Effect.fail(new InvalidArgument({ field: decoded.field, problem: decoded.problem }))
      }),
    "client.Changes": ({ from, waitMs, watch }, { client }) =>
      Effect.map(watches.next(client.id, watch, from, waitMs), ({ previous, revisions, through }) => ({
        changes: encodeRevisions(revisions, previous),
        through
      })),
    "client.WatchProgress": ({ watch }, { client }) => watches.progress(client.id, watch),
    "client.EndWatch": ({ watch }, { client }) => watches.end(client.id, watch),
    "client.Status": () => Effect.orDie(operations.status),
    "client.TransferLeader": ({ target }) => Effect.orDie(operations.transferLeader(target ?? undefined))
  })
  const stateHandlers = StateRpcs.toLayer({
    "state.Backup": () => states.backup,
    "state.HashState": ({ marker }) => states.hashState(new Uint8Array(marker))
  })
  const address = yield* serve(Rpcs, {
    name: "client",
    ...options.listen,
    maxFrameBytes,
    idleTimeoutMs: options.idleTimeoutMs ?? defaultIdleTimeoutMs,
    limits: { ...limits, maxConnections: clientPortConnections(maxClientConnections) },
    offences,
    callLimits: limits,
    gate,
    direct: {
      "client.Write": (payload, _, call) => write(payload, call),
      "client.Read": (payload, _, call) => read(payload, call)
    },
    shapes: clientShapes,
    onDisconnect: (clientId) =>
      Effect.suspend(() => {
        quotas.delete(clientId)
        return watches.endAll(clientId)
      })
  }).pipe(Effect.provide(Layer.merge(handlers, stateHandlers)))
  yield* Effect.logInfo(`clients are served at ${formatBound(address)}`)
  return ClientAddress.of(address)
})

/** Replies in one batch, failures beside them. */
const pack = <Failure>(results: ReadonlyArray<Uint8Array | Failure>): Answers<Failure> => {
  const failures: Array<{ readonly slot: number; readonly error: Failure }> = []
  const replies = results.map((result, slot) => {
    if (result instanceof Uint8Array) return result
    failures.push({ slot, error: result })
    return noBytes
  })
  return { replies: encodeBatch(replies), failures }
}

/** Listens for clients until the scope closes. */
export const layer = (
  options: ClientServerOptions
): Layer.Layer<ClientAddress, ListenError, RaftNode | WatchServer> =>
  Layer.effect(ClientAddress, make(options)).pipe(Layer.provide(StateServer.layer(options)))

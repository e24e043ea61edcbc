/** What the fuzzer begins with: each kind of call that a port takes, whole and right, by port. */
import { clientProtocolVersion } from "../../src/protocol/ClientRpcs.ts"
import { encodeBatch } from "../../src/protocol/Batch.ts"
import { encodeMessages } from "../../src/protocol/MessageBatch.ts"
import { encodeCommand, noSession } from "../../src/kv/model/Command.ts"
import type { Command } from "../../src/kv/model/Command.ts"
import { encodeRanges, KeyRanges } from "../../src/kv/model/KeyRanges.ts"
import type { Message } from "../../src/raft/Message.ts"
import type { LogIndex, NodeId, Term } from "../../src/raft/Types.ts"
import { protocolVersion } from "../../src/protocol/PeerRpcs.ts"
import { clientCall, peerCall, stateCall } from "../wire/Frames.ts"

/** A call, and what is said on the connection before it. */
export interface Sample {
  readonly before: Uint8Array
  readonly call: Uint8Array
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const nothing = new Uint8Array(0)

const commands: ReadonlyArray<Command> = [
  { _tag: "Put", key: bytes("fuzz"), value: bytes("value"), lease: 0 },
  { _tag: "Delete", key: bytes("fuzz") },
  { _tag: "GrantLease", ttlMs: 5_000 },
  { _tag: "Compact", through: 1 }
]

/** After `Hello`. `TransferLeader` is left out: a right one is an election that was asked for. */
const clientCalls: ReadonlyArray<Uint8Array> = [
  ...commands.map((command) => clientCall(2, "client.Write", { commands: encodeBatch([encodeCommand(command)]) })),
  clientCall(2, "client.Write", {
    commands: encodeBatch(commands.map((command) => encodeCommand(command, noSession)))
  }),
  ...(["linearizable", "stale"] as const).map((consistency) =>
    clientCall(2, "client.Read", { consistency, from: "any", queries: encodeBatch([bytes("\u0001\u0000\u0004fuzz")]) })
  ),
  clientCall(2, "client.Watch", {
    ranges: encodeRanges(KeyRanges.of({ gte: bytes("fuzz"), lt: bytes("fuzz~") })),
    from: null,
    previous: true,
    only: null
  }),
  clientCall(2, "client.Changes", { watch: 1, from: 1, waitMs: 1 }),
  clientCall(2, "client.WatchProgress", { watch: 1 }),
  clientCall(2, "client.EndWatch", { watch: 1 }),
  clientCall(2, "client.Status", undefined)
]

const clientSamples = (): ReadonlyArray<Sample> => {
  const hello = clientCall(1, "client.Hello", { protocolVersion: clientProtocolVersion })
  return [
    { before: nothing, call: hello },
    { before: nothing, call: clientCall(1, "client.TransferLeader", { target: 2 }) },
    { before: nothing, call: stateCall(1, "state.Backup", undefined) },
    { before: nothing, call: stateCall(1, "state.HashState", { marker: bytes("marker") }) },
    ...clientCalls.map((call) => ({ before: hello, call }))
  ]
}

const messages = (from: number, to: number): ReadonlyArray<Message> => {
  const index = 1 as LogIndex
  const term = 0 as Term
  const envelope = { from: from as NodeId, to: to as NodeId, term }
  const point = { index, term }
  return [
    { _tag: "VoteRequest", ...envelope, last: point, transfer: false },
    { _tag: "VoteResponse", ...envelope, granted: true },
    { _tag: "PreVoteRequest", ...envelope, last: point },
    { _tag: "AppendRequest", ...envelope, prev: point, entries: [], commit: index },
    { _tag: "AppendAccepted", ...envelope, match: index, voter: true },
    { _tag: "AppendRejected", ...envelope, rejected: index, hint: point, lastIndex: index, voter: true },
    { _tag: "Heartbeat", ...envelope, match: point, commit: index, readRound: 1 },
    { _tag: "HeartbeatResponse", ...envelope, readRound: 1, voter: true },
    { _tag: "TimeoutNow", ...envelope },
    { _tag: "JoinResponse", ...envelope, joinId: 1, fresh: true, learnThrough: index }
  ]
}

const peerSamples = (clusterId: string, from: number, to: number): ReadonlyArray<Sample> => {
  const hello = peerCall(1, "peer.Hello", {
    clusterId,
    identity: null,
    instance: "0".repeat(32),
    from,
    to,
    protocolVersion
  })
  const point = { index: 1, term: 1 }
  return [
    { before: nothing, call: hello },
    { before: hello, call: peerCall(2, "peer.OfferSnapshot", { term: 0, point, estimatedBytes: 1_000 }) },
    { before: hello, call: peerCall(2, "peer.SnapshotChunk", { chunk: bytes("chunk") }) },
    ...messages(from, to).map((message) => ({
      before: hello,
      call: peerCall(2, "peer.Deliver", { messages: encodeMessages([message]) })
    }))
  ]
}

const httpSamples = (): ReadonlyArray<Sample> =>
  ["/", "/livez", "/readyz", "/metrics", "/status", "/nowhere?a=b"].map((path) => ({
    before: nothing,
    call: bytes(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nContent-Length: 3\r\n\r\nabc`)
  }))

export const ports = ["client", "peer", "http"] as const
export type Port = (typeof ports)[number]

/** What is said to a port of node `to`. */
export const samples = (port: Port, clusterId: string, to: number): ReadonlyArray<Sample> => {
  switch (port) {
    case "client":
      return clientSamples()
    case "peer":
      return peerSamples(clusterId, to === 1 ? 2 : 1, to)
    case "http":
      return httpSamples()
  }
}

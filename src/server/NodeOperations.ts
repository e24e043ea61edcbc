/**
 * What a node does for clients, whichever way they come: the {@link Connection} of the process itself, and what
 * the client port answers from.
 */
import { Effect, Exit } from "effect"
import type { Fiber } from "effect"
import type { NodeReport } from "../protocol/NodeReport.ts"
import { clientProtocols } from "../protocol/ClientRpcs.ts"
import { peerProtocols } from "../protocol/PeerRpcs.ts"
import type { Connection } from "../client/connection/Connection.ts"
import type { RaftNode } from "../node/RaftNode.ts"
import type { SnapshotProgress } from "../node/snapshot/SnapshotSender.ts"
import { NodeId } from "../raft/Types.ts"
import type { PeerProcess } from "../transport/PeerTransport.ts"
import { version } from "../Version.ts"
import * as Vitals from "./Vitals.ts"
import type { WatchServer } from "./WatchServer.ts"
import { watchWithin } from "./WatchServer.ts"

const transfer = ({ bytes, estimatedBytes, peer }: SnapshotProgress) => ({ peer, bytes, estimatedBytes })

const processOf = (process: PeerProcess | undefined) =>
  process === undefined ? {} : { process: { ...process, release: process.release ?? null } }

/** The operations of a node of the cluster `clusterId`. */
export const make = (
  node: RaftNode["Service"],
  watches: WatchServer["Service"],
  clusterId: string
): Effect.Effect<Connection> =>
  Effect.zipWith(
    Effect.context<never>(),
    Vitals.make(node),
    (context, vitals) => operationsOf(node, watches, clusterId, vitals, Effect.runForkWith(context))
  )

const operationsOf = (
  node: RaftNode["Service"],
  watches: WatchServer["Service"],
  clusterId: string,
  vitals: Connection["vitals"],
  runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
): Connection => ({
  cluster: Effect.map(node.identity, (identity) => ({ name: clusterId, identity })),
  write: (commands, done, traces) =>
    node.proposeUnsafe(commands, "client", (results) => done(Exit.succeed(results)), traces),
  read: (queries, consistency, from, done, traces) =>
    void runFork(node.query(queries, consistency, from, undefined, traces)).addObserver(done),
  watch: (request) => watchWithin(watches, request),
  status: Effect.map(node.status, (status): NodeReport => ({
    clusterId,
    identity: status.identity ?? null,
    version,
    nodeId: status.nodeId,
    voters: status.voters,
    role: status.role,
    membership: status.membership,
    term: status.term,
    leader: status.leader ?? null,
    commit: status.commit,
    applied: status.applied,
    firstIndex: status.firstIndex,
    lastIndex: status.lastIndex,
    matches: status.matches,
    sending: status.snapshots.sending.map(transfer),
    receiving: status.snapshots.receiving === undefined ? null : transfer(status.snapshots.receiving),
    peers: status.peers.map(({ clock, conflict, connected, dropped, peer }) => ({
      peer,
      connected,
      dropped,
      conflict: conflict ?? null,
      ...processOf(status.processes.get(peer)),
      ...(clock === undefined ? {} : { clock: { ...clock, problem: clock.problem ?? null } })
    })),
    waiting: status.waiting?.text ?? null,
    versions: { level: status.levels.current, known: status.levels.known, clientProtocols, peerProtocols },
    ...(status.wallMs === undefined ? {} : { wallMs: status.wallMs })
  })),
  vitals,
  transferLeader: (target) => node.transferLeader(target === undefined ? undefined : NodeId(target))
})

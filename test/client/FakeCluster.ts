/** Nodes that answer as a test tells them, behind connections that break when it says so. */
import { Effect } from "effect"
import type { Context, Exit, Scope } from "effect"
import type { ClusterInfo, Connect, Connection } from "../../src/client/connection/Connection.ts"
import { ConnectionLost } from "../../src/client/connection/Connection.ts"
import type { Endpoint } from "../../src/client/connection/Endpoint.ts"
import { formatEndpoint } from "../../src/client/connection/Endpoint.ts"
import type { ReadError, WriteError } from "../../src/FlareDbError.ts"
import { NotLeader } from "../../src/FlareDbError.ts"
import { encodeGetReply, encodeReply } from "../../src/kv/model/ReplyCodec.ts"
import { someCluster } from "./Identities.ts"

export type Answer = Effect.Effect<ReadonlyArray<Uint8Array | WriteError>, ConnectionLost>
type ReadAnswer = Effect.Effect<ReadonlyArray<Uint8Array | ReadError>, ConnectionLost>

export class FakeNode {
  readonly endpoint: Endpoint
  /** Nobody listens. */
  down = false
  /** Batches of writes that arrived. */
  readonly writes: Array<number> = []
  /** Batches of reads that arrived, linearizable and stale. */
  readonly reads: Array<number> = []
  connections = 0
  /** Which cluster it says it is of. */
  cluster: ClusterInfo = { name: "fake", identity: someCluster }
  /** What opening a connection waits for. */
  opening: Effect.Effect<void> = Effect.void
  write: (count: number, commands: ReadonlyArray<Uint8Array>) => Answer
  read: (count: number) => ReadAnswer

  constructor(port: number) {
    this.endpoint = { host: "node", port }
    this.write = acknowledge
    this.read = (count) => Effect.succeed(Array.from({ length: count }, () => encodeGetReply(1, undefined)))
  }

  get name(): string {
    return formatEndpoint(this.endpoint)
  }

  readonly lost = (sent: boolean, reason = "gone"): ConnectionLost =>
    new ConnectionLost({ endpoint: this.name, reason, sent })
}

/** Every write of a batch succeeds. */
export const acknowledge = (count: number): Answer =>
  Effect.succeed(
    Array.from({ length: count }, () => encodeReply({ _tag: "PutReply", revision: 1, createRevision: 1, version: 1 }))
  )

/** Every operation of a batch is sent to another node, or nowhere. */
export const notLeader = (leader: FakeNode | undefined) => (count: number): Answer =>
  Effect.succeed(
    Array.from({ length: count }, () =>
      new NotLeader(leader === undefined ? { nodeId: 9 } : { nodeId: 9, leaderId: 1, leaderEndpoint: leader.name }))
  )

export const connectTo = (nodes: ReadonlyArray<FakeNode>): Connect => (endpoint) =>
  Effect.contextWith((context: Context.Context<Scope.Scope>) => {
    const run = <A>(answer: Effect.Effect<A, ConnectionLost>, done: (exit: Exit.Exit<A, ConnectionLost>) => void) =>
      void Effect.runForkWith(context)(answer).addObserver(done)
    const node = nodes.find(({ name }) => name === formatEndpoint(endpoint))
    if (node === undefined || node.down) {
      return Effect.fail(
        new ConnectionLost({ endpoint: formatEndpoint(endpoint), reason: "no process listens there", sent: false })
      )
    }
    node.connections += 1
    return Effect.as(
      node.opening,
      {
        cluster: Effect.sync(() => node.cluster),
        write: (commands, done) => {
          node.writes.push(commands.length)
          run(node.write(commands.length, commands), done)
        },
        read: (queries, _, __, done) => {
          node.reads.push(queries.length)
          run(node.read(queries.length), done)
        },
        watch: () => Effect.fail(node.lost(true)),
        status: Effect.fail(node.lost(true)),
        vitals: Effect.fail(node.lost(true)),
        transferLeader: () => Effect.void
      } satisfies Connection
    )
  })

/**
 * A stranger offers an empty state with right checksums, in a later term, to the followers of a live cluster. Without
 * the identity of the cluster it is refused. With it one node takes it, which no node can tell from a right one before
 * TLS: then the log says how to go back, and what was replaced can be saved.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem, Result } from "effect"
import { connect } from "node:net"
import { encodeIdentityRow, identityRowKey, parseIdentity } from "../../src/protocol/ClusterIdentity.ts"
import { SnapshotEncoder } from "../../src/protocol/SnapshotChunk.ts"
import type { StateRow } from "../../src/protocol/StateRows.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Op } from "../../src/client/Txn.ts"
import { protocolVersion } from "../../src/protocol/PeerRpcs.ts"
import { eventually } from "../Eventually.ts"
import { peerCall } from "../wire/Frames.ts"
import * as Cluster from "./Cluster.ts"
import { run } from "./Flaredb.ts"

/** More than a state may shrink by without a warning. */
const keys = 400
const perTransaction = 100

/** Offers a state through `index` in the name of node `from`, and sends it to its end or until the node refuses it. */
const offer = (to: Cluster.ClusterNode, from: number, index: number, term: number, rows: ReadonlyArray<StateRow>) =>
  Effect.callback<void>((resume) => {
    const encoder = new SnapshotEncoder()
    const chunks = rows.flatMap((row) => Array.from(encoder.add(row)))
    const calls = [
      peerCall(1, "peer.Hello", {
        clusterId: "test",
        identity: null,
        instance: "0".repeat(32),
        from,
        to: to.id,
        protocolVersion
      }),
      peerCall(2, "peer.OfferSnapshot", { term, point: { index, term }, estimatedBytes: 100 }),
      ...[...chunks, ...encoder.end().chunks].map((chunk, i) => peerCall(3 + i, "peer.SnapshotChunk", { chunk }))
    ]
    const { host, peerPort } = to.address
    const next = () => {
      const call = calls.shift()
      if (call === undefined) return resume(Effect.void)
      socket.write(call)
    }
    const socket = connect(peerPort, host, next)
    socket.on("data", next)
    socket.on("error", () => undefined)
    socket.once("close", () => resume(Effect.void))
    return Effect.sync(() => void socket.destroy())
  })

it.live("an empty state of a stranger is refused, or can be taken back", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      for (let first = 0; first < keys; first += perTransaction) {
        yield* kv.transact({
          do: Array.from({ length: perTransaction }, (_, i) => Op.put(`kept/${first + i}`, "value"))
        })
      }
      const leader = yield* cluster.leader
      const reports = yield* cluster.until((all) =>
        all.length === 3 && all.every((one) => one.membership === "voter" && one.applied === all[0]?.applied)
      )
      const [{ applied = 0, identity = null, term = 0 } = {}] = reports
      const followers = cluster.nodes.filter((node) => node !== leader)
      for (const node of followers) {
        yield* offer(node, leader.id, applied + 1_000, term + 1, [])
        yield* eventually("it is refused", () => node.log.some((line) => /refused a snapshot from node/.test(line)))
      }
      assert.strictEqual(yield* kv.count("kept/"), keys)
      for (const report of yield* cluster.until((all) => all.length === 3)) {
        assert.isBelow(report.applied, applied + 1_000, `node ${report.nodeId} took the state`)
      }

      const [victim] = followers
      if (victim === undefined) return assert.fail("no follower")
      const known = Result.getOrThrow(parseIdentity(identity ?? ""))
      // With a log that is ahead it could lead, and take the state from the others as well: they do not hear of it.
      const others = cluster.nodes.filter((node) => node !== victim)
      for (const node of others) yield* node.pause
      yield* offer(victim, leader.id, applied + 1_000, term + 1, [
        { key: identityRowKey, value: encodeIdentityRow(known) }
      ])
      yield* eventually("a warning of the state that was replaced", () =>
        victim.log.some((line) =>
          /"level":"WARN"/.test(line) && /has 1 rows, and the one that it replaced/.test(line)
        ))
      yield* victim.stop("SIGKILL")
      for (const node of others) yield* node.resume
      assert.strictEqual(yield* kv.count("kept/"), keys)
      const rescue = `${yield* files.makeTempDirectoryScoped()}/rescue`
      const saved = yield* run(["backup", rescue, "--from", victim.dataDir, "--replaced", "--json"])
      assert.strictEqual(saved.code, 0, saved.err)
      assert.deepInclude(JSON.parse(saved.out), { replaced: true, revision: keys / perTransaction, identity })
      const checked = yield* run(["restore", rescue, "--dry-run"])
      assert.strictEqual(checked.code, 0, checked.err)
    }).pipe(Effect.provide(Cluster.client(cluster)))
  }).pipe(Effect.provide(NodeServices.layer)), 300_000)

/** A backup of the directory of a node that does not run, and the cluster that is made of it. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { LogIndex, Term } from "../../../src/raft/Types.ts"
import { encodeRecord, stateKeys } from "../../../src/storage/Codec.ts"
import { RocksDb } from "../../../src/storage/rocksdb/RocksDb.ts"
import * as RocksStorage from "../../../src/storage/rocksdb/RocksStorage.ts"
import { StateStore } from "../../../src/storage/StateStore.ts"
import { freePorts } from "../../FreePorts.ts"
import { temporaryFolder } from "../../storage/TemporaryFolder.ts"
import { run, startArgs, untilLine } from "./CommandLine.ts"
import { runInProcess } from "./InProcess.ts"

/** Writes a record of a stopped node. */
const overwrite = (path: string, key: string, value: object) =>
  RocksDb.use((database) => database.write("raft_state", [{ _tag: "Put", key, value: encodeRecord(value) }], "durable"))
    .pipe(Effect.provide(Layer.fresh(RocksDb.layer({ path, create: false }))))

const put = (endpoint: string, key: string, value: string) => runInProcess(["put", key, value, "--endpoints", endpoint])

const stop = ({ ended, handle }: Effect.Success<ReturnType<typeof untilLine>>) => {
  process.kill(handle.pid, "SIGTERM")
  return ended
}

describe("flaredb backup --from", () => {
  layer(NodeServices.layer, { excludeTestServices: true })((it) => {
    it.effect(
      "saves what a stopped node had applied, also one that can never lead again, and no running node's",
      () =>
        Effect.gen(function*() {
          const folder = yield* temporaryFolder
          const dataDir = join(folder, "node")
          const file = join(folder, "rescue")
          const ports = yield* freePorts(3)
          const node = yield* untilLine(startArgs(ports, dataDir), /^READY/)
          yield* put(`127.0.0.1:${ports[0]}`, "greeting", "hello")

          const inUse = yield* runInProcess(["backup", file, "--from", dataDir])
          assert.strictEqual(inUse.code, 1)
          assert.match(inUse.err, /^flaredb: refused to open .*\(locked\)/m)
          assert.deepStrictEqual(readdirSync(folder), ["node"])
          yield* stop(node)
          const none = yield* runInProcess(["backup", file, "--from", dataDir, "--replaced"])
          assert.match(none.err, /\(nothing-replaced\)/)

          // What a heartbeat response in the largest term leaves behind: no campaign can succeed any more.
          yield* overwrite(dataDir, stateKeys.hardState, { term: 2 ** 48, votedFor: null, commit: 2 })
          const saved = yield* run(["backup", file, "--from", dataDir])
          assert.strictEqual(saved.code, 0, saved.err)
          assert.match(saved.out, /cluster local at revision 1 .*not in it: /s)
          assert.strictEqual((statSync(file).mode & 0o777).toString(8), "600")

          const restored = join(folder, "restored")
          const args = ["--node-id", "1", "--nodes", `1=127.0.0.1:${ports.join(":")}`, "--data-dir", restored]
          // Certificates that are still those of the old cluster: a node of the new one would not start with them.
          const certs = join(folder, "certs")
          for (const issue of [["ca", "--cluster", "local"], ["node", "1", "--host", "127.0.0.1"]]) {
            assert.strictEqual((yield* runInProcess(["cert", ...issue, "--certs-dir", certs])).code, 0)
          }
          const held = ["--certs-dir", join(certs, "node-1")]
          const made = yield* run(["restore", file, "--cluster-id", "again", ...args, ...held])
          assert.strictEqual(made.code, 0, made.err)
          assert.match(made.out, /are of the cluster local; make those of again .*flaredb cert ca --cluster again /)
          const again = yield* untilLine(startArgs(ports, restored, "--cluster-id", "again"), /^READY/)
          const { out } = yield* runInProcess(["get", "greeting", "--endpoints", `127.0.0.1:${ports[0]}`])
          assert.strictEqual(out, "hello\n")
          assert.match((yield* put(`127.0.0.1:${ports[0]}`, "greeting", "again")).out, /revision 2/)
          yield* stop(again)
        }).pipe(Effect.scoped),
      300_000
    )

    it.effect(
      "saves the state that the last snapshot replaced, as long as it is kept",
      () =>
        Effect.gen(function*() {
          const folder = yield* temporaryFolder
          const dataDir = join(folder, "node")
          const ports = yield* freePorts(3)
          const node = yield* untilLine(startArgs(ports, dataDir), /^READY/)
          yield* put(`127.0.0.1:${ports[0]}`, "greeting", "hello")
          yield* stop(node)
          // An empty state, as a stranger may send it.
          yield* Effect.scoped(Effect.gen(function*() {
            const incoming = yield* (yield* StateStore).import
            yield* incoming.finish({ index: LogIndex(1_000), term: Term(9) })
          })).pipe(
            Effect.provide(
              Layer.fresh(RocksStorage.layer({ path: dataDir, clusterId: "local", nodeId: 1, voters: [1] }))
            )
          )
          const inspected = yield* runInProcess(["inspect", dataDir])
          assert.match(inspected.out, /replaced state +\d+ \(term \d+\)/)
          const file = join(folder, "rescue")
          const saved = yield* runInProcess(["backup", file, "--from", dataDir, "--replaced", "--json"])
          assert.strictEqual(saved.code, 0, saved.err)
          assert.deepInclude(JSON.parse(saved.out) as object, { revision: 1, replaced: true })
          assert.strictEqual((yield* runInProcess(["restore", file, "--dry-run"])).code, 0)
        }).pipe(Effect.scoped),
      300_000
    )

    it.effect(
      "says what is wrong with a directory that it cannot read",
      () =>
        Effect.gen(function*() {
          const folder = yield* temporaryFolder
          const dataDir = join(folder, "node")
          const file = join(folder, "rescue")
          const failing = (from: string, expected: RegExp) =>
            Effect.map(runInProcess(["backup", file, "--from", from]), ({ code, err }) => {
              assert.strictEqual(code, 1)
              assert.match(err, expected)
            })
          yield* failing(join(folder, "none"), /\(foreign\).*found nothing there/)
          mkdirSync(dataDir)
          yield* failing(dataDir, /\(foreign\).*no CURRENT file/)
          writeFileSync(join(dataDir, "CURRENT"), "MANIFEST-000009\n")
          yield* failing(dataDir, /corrupt data in/)
          const whole = join(folder, "whole")
          yield* Effect.provide(
            Effect.void,
            Layer.fresh(RocksStorage.layer({ path: whole, clusterId: "local", nodeId: 1, voters: [1] }))
          )
          yield* failing(whole, /\(nothing-applied\)/)
          const marker = { formatVersion: 99, clusterId: "local", nodeId: 1, voters: [1], createdMs: 0 }
          yield* overwrite(whole, stateKeys.marker, marker)
          yield* failing(whole, /\(format-version\): expected format 4, 5, 6, found format 99/)
          const alone = yield* runInProcess(["backup", file, "--replaced"])
          assert.strictEqual(alone.code, 2)
          assert.notInclude(readdirSync(folder), "rescue")
        }).pipe(Effect.scoped),
      300_000
    )
  })
})

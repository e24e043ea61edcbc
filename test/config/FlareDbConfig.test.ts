import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Schema } from "effect"
import type { NodeAddress } from "../../src/config/NodeAddress.ts"
import type { FlareDbOptions } from "../../src/config/FlareDbConfig.ts"
import * as FlareDbConfig from "../../src/config/index.ts"

const node = (id: number, base = 9000 + id * 10): NodeAddress => ({
  id,
  host: "127.0.0.1",
  clientPort: base,
  peerPort: base + 1,
  httpPort: base + 2
})

const problemsOf = (options: FlareDbOptions) =>
  Effect.map(Effect.flip(FlareDbConfig.make(options)), (error) => error.problems)

describe("FlareDbConfig", () => {
  it.effect("the defaults are the local cluster and pass their own validation", () =>
    Effect.gen(function*() {
      const config = yield* FlareDbConfig.make({ nodeId: 2 })
      assert.strictEqual(config.dataDir, "./data/node-2")
      assert.deepStrictEqual(FlareDbConfig.ownAddress(config), {
        id: 2,
        host: "127.0.0.1",
        clientPort: 7002,
        peerPort: 7102,
        httpPort: 7202
      })
      assert.strictEqual(FlareDbConfig.tickMs(config), 10)
    }))

  it.effect("a field that is undefined counts as missing, a limit too", () =>
    Effect.gen(function*() {
      const config = yield* FlareDbConfig.make({ nodeId: 2, dataDir: undefined, limits: { maxWatches: undefined } })
      assert.deepStrictEqual(config, yield* FlareDbConfig.make({ nodeId: 2 }))
      assert.deepStrictEqual(config, yield* FlareDbConfig.make({ nodeId: 2, limits: undefined }))
    }))

  const refused: ReadonlyArray<readonly [string, FlareDbOptions, string, RegExp]> = [
    ["an even number of voters", { nodeId: 1, nodes: [node(1), node(2)] }, "nodes", /2 voters given/],
    ["no voters", { nodeId: 1, nodes: [] }, "nodes", /0 voters given/],
    [
      "a node id given twice",
      { nodeId: 1, nodes: [node(1), node(2), node(2, 9100)] },
      "nodes",
      /node id 2 is given twice/
    ],
    [
      "an address given twice",
      { nodeId: 1, nodes: [node(1), node(2, 9010), node(3)] },
      "nodes",
      /127\.0\.0\.1:9010 is given/
    ],
    ["a port out of range", { nodeId: 1, nodes: [node(1, 70_000)] }, "nodes", /70000 is not a port/],
    ["a node id of nobody", { nodeId: 9 }, "nodeId", /9 is not one of the voters/],
    ["a cluster id with blanks", { nodeId: 1, clusterId: "my cluster" }, "clusterId", /must be 1 to 64/],
    ["an empty data directory", { nodeId: 1, dataDir: "" }, "dataDir", /must not be empty/],
    ["a heartbeat of zero", { nodeId: 1, heartbeatMs: 0 }, "heartbeatMs", /at least 5/],
    [
      "an election timeout near the heartbeat",
      { nodeId: 1, electionTimeoutMinMs: 100 },
      "electionTimeoutMinMs",
      /three heartbeats/
    ],
    [
      "election timeouts without spread",
      { nodeId: 1, electionTimeoutMaxMs: 510 },
      "electionTimeoutMaxMs",
      /campaign together/
    ],
    ["a limit of zero", { nodeId: 1, limits: { maxInboxEvents: 0 } }, "limits.maxInboxEvents", /at least 1/]
  ]
  for (const [what, options, field, problem] of refused) {
    it.effect(`refuses ${what}, naming the field and the reason`, () =>
      Effect.gen(function*() {
        const problems = yield* problemsOf(options)
        assert.isTrue(
          problems.some((p) => p.field === field && problem.test(p.problem)),
          JSON.stringify(problems)
        )
      }))
  }

  it.effect("lists everything that is wrong at once", () =>
    Effect.gen(function*() {
      const problems = yield* problemsOf({ nodeId: 9, clusterId: "", heartbeatMs: -1 })
      assert.includeMembers(problems.map((p) => p.field), ["nodeId", "clusterId", "heartbeatMs"])
    }))

  it.effect("malformed node lists are quoted in the error", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(FlareDbConfig.parseNodes("1=127.0.0.1:7001:7101:7201,2=localhost:7002"))
      assert.match(error.message, /"2=localhost:7002" is not ID=HOST:CLIENT:PEER:HTTP/)
    }))

  const Port = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))
  it.effect.prop(
    "the text form of a node list survives the round trip",
    {
      nodes: Schema.Array(Schema.Struct({
        id: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 })),
        host: Schema.Literals(["127.0.0.1", "::1", "db-1.example.org"]),
        clientPort: Port,
        peerPort: Port,
        httpPort: Port
      })).check(Schema.isMinLength(1))
    },
    ({ nodes }) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* FlareDbConfig.parseNodes(FlareDbConfig.formatNodes(nodes)), nodes)
      })
  )

  const withEnv = (env: Record<string, string>) =>
    Effect.provide(FlareDbConfig.fromEnv, ConfigProvider.layer(ConfigProvider.fromEnv({ env })))

  it.effect("reads every setting from FLAREDB_ variables", () =>
    Effect.gen(function*() {
      const config = yield* withEnv({
        FLAREDB_NODE_ID: "7",
        FLAREDB_CLUSTER_ID: "prod",
        FLAREDB_DATA_DIR: "/var/lib/flaredb",
        FLAREDB_NODES: "7=db-7:1:2:3",
        FLAREDB_LISTEN_HOST: "0.0.0.0",
        FLAREDB_HTTP_HOSTS: "db.example.org, console",
        FLAREDB_HEARTBEAT_MS: "20",
        FLAREDB_ELECTION_TIMEOUT_MIN_MS: "200",
        FLAREDB_ELECTION_TIMEOUT_MAX_MS: "400",
        FLAREDB_OTLP_ENDPOINT: "https://collector.example/otlp",
        FLAREDB_OTLP_HEADERS_FILE: "/etc/flaredb/otlp.headers",
        FLAREDB_OTLP_INTERVAL_MS: "5000",
        FLAREDB_UNSAFE_NO_FSYNC: "true"
      })
      assert.deepStrictEqual({ ...config, limits: undefined }, {
        nodeId: 7,
        clusterId: "prod",
        dataDir: "/var/lib/flaredb",
        nodes: [{ id: 7, host: "db-7", clientPort: 1, peerPort: 2, httpPort: 3 }],
        listenHost: "0.0.0.0",
        httpHosts: ["db.example.org", "console"],
        heartbeatMs: 20,
        electionTimeoutMinMs: 200,
        electionTimeoutMaxMs: 400,
        otlpEndpoint: "https://collector.example/otlp",
        otlpHeadersFile: "/etc/flaredb/otlp.headers",
        otlpIntervalMs: 5_000,
        unsafeNoFsync: true,
        tls: "off",
        clientAuth: "none",
        insecure: false,
        auditEvents: "writes",
        auditStrict: false,
        limits: undefined
      })
    }))

  it.effect("an export is refused that could not be sent, or would show a secret", () =>
    Effect.gen(function*() {
      const problemOf = (variables: Record<string, string>) =>
        Effect.map(Effect.flip(withEnv({ FLAREDB_NODE_ID: "1", ...variables })), ({ message }) => message)
      for (const endpoint of ["collector:4318", "ftp://collector", "127.0.0.1:4318", "http://c/?a=b"]) {
        assert.match(yield* problemOf({ FLAREDB_OTLP_ENDPOINT: endpoint }), /otlpEndpoint/)
      }
      const secret = yield* problemOf({ FLAREDB_OTLP_ENDPOINT: "https://me:s3cret@collector.example" })
      assert.match(secret, /--otlp-headers-file/)
      assert.notInclude(secret, "s3cret")
      assert.match(yield* problemOf({ FLAREDB_OTLP_HEADERS_FILE: "headers" }), /without --otlp-endpoint/)
      const often = { FLAREDB_OTLP_ENDPOINT: "http://localhost:4318", FLAREDB_OTLP_INTERVAL_MS: "10" }
      assert.match(yield* problemOf(often), /otlpIntervalMs: must be an integer of at least 1000/)
    }))

  it.effect("a variable that is not a number is refused, not replaced by the default", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(withEnv({ FLAREDB_NODE_ID: "1", FLAREDB_HEARTBEAT_MS: "fast" }))
      assert.match(error.message, /FLAREDB_HEARTBEAT_MS/)
    }))
})

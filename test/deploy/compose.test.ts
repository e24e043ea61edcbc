/** The containers of `deploy/docker/compose.yaml`: three nodes of one cluster with TLS, and what they may do. */
import { ConfigProvider, Effect } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { parse } from "yaml"
import { unknownVariables } from "../../src/config/UnknownVariables.ts"
import { fromEnv } from "../../src/config/Variables.ts"
import type { Part } from "./Manifests.ts"
import { root } from "./Manifests.ts"

const text = readFileSync(join(root, "deploy/docker/compose.yaml"), "utf8")
const compose: Part = parse(text, { merge: true })
const nodes = [1, 2, 3].map((id) => compose.services[`node-${id}`])

describe("the containers", () => {
  it("are nodes of one cluster that listens with TLS", () => {
    nodes.forEach(({ environment }, i) => {
      assert.deepEqual(unknownVariables(environment), [])
      const provider = ConfigProvider.fromEnv({ env: environment })
      const config = Effect.runSync(Effect.provideService(fromEnv, ConfigProvider.ConfigProvider, provider))
      assert.deepEqual([config.nodeId, config.tls, config.clientAuth], [i + 1, "on", "either"])
      assert.strictEqual(config.clusterId, "compose")
      assert.strictEqual(config.nodes[i]?.host, `node-${i + 1}`)
    })
  })

  it("are certified by the commands that the file begins with", () => {
    assert.include(text, "cert ca --cluster compose\n")
    assert.include(
      text,
      "for node in 1 2 3; do npx flaredb cert node $node --host node-$node,localhost,127.0.0.1; done"
    )
    assert.include(text, "cert client admin\n")
  })

  it("write to their volumes alone, and publish no port", () => {
    for (const service of [...nodes, compose.services.client]) {
      assert.deepInclude(service, {
        read_only: true,
        cap_drop: ["ALL"],
        security_opt: ["no-new-privileges:true"],
        image: "flaredb"
      })
      assert.isUndefined(service.ports)
    }
    const volumes = nodes.map((service) => service.volumes[0].split(":")[0])
    assert.sameMembers(volumes, Object.keys(compose.volumes))
    assert.notInclude(JSON.stringify(compose.services), "ca.key")
  })

  it("are healthy when they are ready, by an answer that is checked", () => {
    for (const { healthcheck } of nodes) {
      const [how, program, flag, script] = healthcheck.test
      assert.deepEqual([how, program, flag], ["CMD", "node", "--eval"])
      assert.include(script, `path: "/readyz"`)
      assert.include(script, `"/ca.crt"`)
      // It is a program: this throws where it is none.
      assert.doesNotThrow(() => new Function("require", "process", script))
    }
  })
})

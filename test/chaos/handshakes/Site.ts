/** Three real nodes with certificates on every port, and a client's own, for the length of a scope. */
import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as wait } from "node:timers/promises"
import { usageOf } from "../../../src/cli/bench/Resources.ts"
import { clientFolder, makeCertificates, nodeFolder } from "../../../src/cli/launch/ClusterCertificates.ts"
import { certificatesFromFolder } from "../../../src/client/CertificateFiles.ts"
import type { FileTls } from "../../../src/client/CertificateFiles.ts"
import type { NodeAddress } from "../../../src/config/NodeAddress.ts"
import { getText } from "../../../src/http/GetText.ts"
import type { NodeProcess } from "../NodeProcess.ts"
import { NodeProcess as Process } from "../NodeProcess.ts"
import { findPorts } from "../../../src/cli/launch/FreePorts.ts"
import { startNode } from "../Site.ts"
import type { StrangersPort } from "./Strangers.ts"

/** Milliseconds until every node has to be ready. */
const readyMs = 60_000

export interface Site {
  readonly nodes: ReadonlyArray<NodeProcess>
  /** What a client shows. */
  readonly tls: FileTls
  /** Every port of every node. */
  readonly ports: ReadonlyArray<StrangersPort>
  /** What a node says at a path of its HTTP port. */
  readonly page: (node: NodeProcess, path: string) => Effect.Effect<string, Error>
  /** Resident memory of each node in MiB. */
  readonly rssMiB: () => ReadonlyArray<number>
}

/** Opens it; nodes get `settings` as variables. */
export const open = Effect.fnUntraced(function*(settings: Readonly<Record<string, string>>) {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "flaredb-handshakes-"))),
    (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
  )
  const numbers = yield* Effect.promise(() => findPorts(9))
  const addresses = [1, 2, 3].map((id): NodeAddress => {
    const [clientPort = 0, peerPort = 0, httpPort = 0] = numbers.slice(3 * id - 3)
    return { id, host: "127.0.0.1", clientPort, peerPort, httpPort }
  })
  const certificates = join(folder, "certs")
  yield* makeCertificates(certificates, { clusterId: "chaos", nodes: addresses })
  const nodes = addresses.map((address) =>
    new Process({
      address,
      nodes: addresses,
      dataDir: join(folder, `node-${address.id}`),
      program: ["bin/flaredb.js", "start", "--log-format", "json"],
      env: { FLAREDB_CERTS_DIR: nodeFolder(certificates, address.id), FLAREDB_TLS: "on", ...settings }
    })
  )
  yield* Effect.addFinalizer(() =>
    Effect.promise(() => Promise.all(nodes.map((node) => node.running ? node.end("SIGKILL") : undefined)))
  )
  const tls = yield* certificatesFromFolder(clientFolder(certificates))
  const page = ({ address: { host, httpPort } }: NodeProcess, path: string) =>
    getText({ address: `${host}:${httpPort}`, path, tls })
  yield* Effect.tryPromise({
    try: () => Promise.all(nodes.map(startNode)),
    catch: (error) => error instanceof Error ? error : new Error(String(error))
  })
  const deadlineMs = performance.now() + readyMs
  for (const node of nodes) {
    while ((yield* Effect.exit(page(node, "/readyz")))._tag === "Failure") {
      if (performance.now() > deadlineMs) return yield* Effect.fail(new Error(`node ${node.id} is not ready`))
      yield* Effect.promise(() => wait(50))
    }
  }
  const ports = addresses.flatMap(({ clientPort, host, httpPort, peerPort }): ReadonlyArray<StrangersPort> => [
    { kind: "client", host, port: clientPort },
    { kind: "peer", host, port: peerPort },
    { kind: "http", host, port: httpPort }
  ])
  return {
    nodes,
    tls,
    ports,
    page,
    rssMiB: () => nodes.map((node) => usageOf(node.pid() ?? 0)?.rssMiB ?? Number.NaN)
  } satisfies Site
})

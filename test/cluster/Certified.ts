/** Certificates for the nodes and clients of a test's cluster, in a temporary folder, and clients that use them. */
import { Effect, FileSystem } from "effect"
import { clientFolder, makeCertificates, nodeFolder } from "../../src/cli/launch/ClusterCertificates.ts"
import { certificatesFromFolder } from "../../src/client/CertificateFiles.ts"
import type { Cluster, ClusterNode } from "./Cluster.ts"

/** Makes them for a cluster that need not run yet. */
export const certificatesOf = Effect.fnUntraced(function*(cluster: Cluster, clusterId = "test") {
  const files = yield* FileSystem.FileSystem
  const folder = `${yield* files.makeTempDirectoryScoped({ prefix: "flaredb-certificates-" })}/certs`
  const nodes = cluster.nodes.map(({ address: { host, id } }) => ({ id, host }))
  yield* makeCertificates(folder, { clusterId, nodes })
  return {
    folder,
    /** Those of a client that may do everything. */
    client: clientFolder(folder),
    /** Variables of a node. */
    settings: ({ id }: ClusterNode, more: Readonly<Record<string, string>> = {}) => ({
      FLAREDB_CERTS_DIR: nodeFolder(folder, id),
      ...more
    })
  }
})

/** Has the nodes of a cluster start with certificates, and gives the TLS of a client that may do everything. */
export const certify = Effect.fnUntraced(function*(cluster: Cluster) {
  const certificates = yield* certificatesOf(cluster)
  for (const node of cluster.nodes) node.settings = certificates.settings(node, node.settings)
  return yield* clientTls(certificates)
})

/** TLS of a client, which follows its files within the scope. */
export const clientTls = ({ client }: { readonly client: string }) => certificatesFromFolder(client)

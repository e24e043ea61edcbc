/**
 * The certificates of a cluster on one machine: an authority that is kept, and a folder for each node and for the
 * client, issued again at each start so that none ends while the cluster is in use.
 */
import type { Result } from "effect"
import { Clock, Effect, Redacted } from "effect"
import { existsSync } from "node:fs"
import type { CertificateProblem, Issued } from "../../certificates/Authority.ts"
import { issue, makeAuthority } from "../../certificates/Authority.ts"
import type { CertificateName } from "../../net/tls/CertificateName.ts"
import { createDirectory } from "../../storage/Folder.ts"
import type { Failure } from "../output/Failure.ts"
import { readAuthority, readText } from "../certificates/CertificateFolder.ts"
import { failureOf } from "../output/Failure.ts"
import { writeOutputFile } from "../output/OutputFile.ts"

export interface CertifiedCluster {
  readonly clusterId: string
  readonly nodes: ReadonlyArray<{ readonly id: number; readonly host: string }>
}

/** What every node of one machine is called, beside its host. */
const localHosts = ["localhost", "127.0.0.1", "::1"]

/** The client that may do everything. */
const administrator = "admin"

export const nodeFolder = (folder: string, id: number): string => `${folder}/node-${id}`

export const clientFolder = (folder: string): string => `${folder}/client-${administrator}`

const granted = <A>(result: Result.Result<A, CertificateProblem>): Effect.Effect<A, Failure> =>
  Effect.mapError(Effect.fromResult(result), failureOf)

const writeText = (path: string, text: string) => writeOutputFile(path, Buffer.from(text), true)

/** The authority in a folder, which is made there the first time. */
const authorityIn = Effect.fnUntraced(function*(folder: string, cluster: string, nowMs: number) {
  const [certificateFile, keyFile] = [`${folder}/ca.crt`, `${folder}/ca.key`]
  if (existsSync(certificateFile) && existsSync(keyFile)) {
    // All that are trusted go to the nodes: there are two while the authority is replaced.
    return { authority: yield* readAuthority(folder), trusted: yield* readText(certificateFile) }
  }
  const authority = yield* granted(makeAuthority({ cluster, nowMs }))
  // A certificate without its key is made again: nothing can have been issued by it.
  yield* writeText(keyFile, Redacted.value(authority.key))
  yield* writeText(certificateFile, authority.certificate)
  return { authority, trusted: authority.certificate }
})

const writeIssued = Effect.fnUntraced(function*(folder: string, owner: string, trusted: string, issued: Issued) {
  yield* Effect.try({ try: () => createDirectory(folder), catch: failureOf })
  yield* writeText(`${folder}/ca.crt`, trusted)
  yield* writeText(`${folder}/${owner}.key`, Redacted.value(issued.key))
  yield* writeText(`${folder}/${owner}.crt`, issued.certificate)
})

/** Makes them in `folder`: `node-ID/` for each node and `client-admin/`, laid out as `flaredb cert` does it. */
export const makeCertificates = Effect.fnUntraced(function*(
  folder: string,
  { clusterId: cluster, nodes }: CertifiedCluster
): Effect.fn.Return<void, Failure> {
  const nowMs = yield* Clock.currentTimeMillis
  yield* Effect.try({ try: () => createDirectory(folder), catch: failureOf })
  const { authority, trusted } = yield* authorityIn(folder, cluster, nowMs)
  const give = (name: CertificateName, hosts: ReadonlyArray<string>) =>
    granted(issue(authority, { name, hosts: [...new Set(hosts)], nowMs }))
  for (const { host, id } of nodes) {
    const issued = yield* give({ kind: "node", cluster, node: id }, [host, ...localHosts])
    yield* writeIssued(nodeFolder(folder, id), "node", trusted, issued)
  }
  const client = yield* give({ kind: "client", cluster, client: administrator }, [])
  yield* writeIssued(clientFolder(folder), "client", trusted, client)
})

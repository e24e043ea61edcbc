/** Certificates for the nodes of a harness, and how it reaches them with those of `client/admin`. */
import { Effect, Redacted } from "effect"
import { readFileSync } from "node:fs"
import { get as getHttps } from "node:https"
import type { CertifiedCluster } from "../../src/cli/launch/ClusterCertificates.ts"
import { clientFolder, makeCertificates, nodeFolder } from "../../src/cli/launch/ClusterCertificates.ts"
import type { ClientTls } from "../../src/client/ClientOptions.ts"
import { MemoryCredentials } from "../../src/net/tls/Credentials.ts"

export interface HttpAnswer {
  readonly ok: boolean
  readonly body: string
}

export class SiteCertificates {
  /** The file with the authority. */
  readonly authorities: string
  /** For clients in this process. */
  readonly tls: ClientTls
  private readonly folder: string
  private readonly files: { readonly ca: string; readonly cert: string; readonly key: string }

  private constructor(folder: string) {
    this.folder = folder
    const client = clientFolder(folder)
    this.authorities = `${client}/ca.crt`
    const read = (file: string) => readFileSync(`${client}/${file}`, "utf8")
    this.files = { ca: read("ca.crt"), cert: read("client.crt"), key: read("client.key") }
    const { ca: authorities, cert: certificate, key } = this.files
    this.tls = { credentials: new MemoryCredentials({ authorities, own: { certificate, key: Redacted.make(key) } }) }
  }

  /** Makes them in a folder that need not exist. */
  static async make(folder: string, cluster: CertifiedCluster): Promise<SiteCertificates> {
    await Effect.runPromise(makeCertificates(folder, cluster))
    return new SiteCertificates(folder)
  }

  /** Variables of a node. */
  nodeSettings(id: number): Readonly<Record<string, string>> {
    return { FLAREDB_CERTS_DIR: nodeFolder(this.folder, id) }
  }

  /** Asks a node's HTTP port of this machine. Rejects when it does not answer in time. */
  get(port: number, path: string, timeoutMs: number): Promise<HttpAnswer> {
    const { promise, reject, resolve } = Promise.withResolvers<HttpAnswer>()
    const signal = AbortSignal.timeout(timeoutMs)
    const request = getHttps(
      { host: "127.0.0.1", port, path, ...this.files, minVersion: "TLSv1.3", agent: false, signal },
      (response) => {
        let body = ""
        response.setEncoding("utf8").on("data", (text: string) => {
          body += text
        })
        response.on("error", reject)
        response.on("end", () => resolve({ ok: response.statusCode === 200, body }))
      }
    )
    request.on("error", reject)
    return promise
  }
}

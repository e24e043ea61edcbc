/**
 * Certificates for tests: those that the product issues, and odd ones that it never would. Keys are made when they are
 * asked for.
 */
import { Redacted, Result } from "effect"
import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto"
import type { Authority, Issued } from "../../src/certificates/Authority.ts"
import { issue, makeAuthority } from "../../src/certificates/Authority.ts"
import { subjectOf } from "../../src/certificates/DerReader.ts"
import type { AltName, Extension } from "../../src/certificates/Signing.ts"
import * as Signing from "../../src/certificates/Signing.ts"
import type { CertificateName } from "../../src/net/tls/CertificateName.ts"
import type { KeyMaterial } from "../../src/net/tls/Credentials.ts"

const dayMs = 86_400_000

export const node = (id: number, cluster = "test"): CertificateName => ({ kind: "node", cluster, node: id })

export const client = (name: string, cluster = "test"): CertificateName => ({ kind: "client", cluster, client: name })

/** What `Credentials` hold for an issued certificate. */
export const keyMaterial = (authority: Authority, issued?: Issued): KeyMaterial => ({
  authorities: authority.certificate,
  ...(issued === undefined ? {} : { own: { certificate: issued.certificate, key: issued.key } })
})

/** Extensions of a node's or client's certificate with any names. */
export const leafExtensions = (
  names: ReadonlyArray<AltName>,
  ...uses: ReadonlyArray<"serverAuth" | "clientAuth">
): ReadonlyArray<Extension> => [
  Signing.basicConstraints(false),
  Signing.keyUsage(false),
  Signing.extendedKeyUsage(...uses),
  Signing.subjectAltName(names)
]

/** A certificate with any extensions, which the product would not issue. */
export const issueOdd = (
  authority: Authority,
  extensions: ReadonlyArray<Extension>,
  nowMs: number,
  days = 1
): Issued => {
  const issuer = subjectOf(new X509Certificate(authority.certificate).raw)
  if (issuer?.keyId === undefined) throw new Error("the authority cannot be read")
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const validToMs = nowMs + days * dayMs
  const certificate = Signing.signCertificate({
    issuer: issuer.subject,
    subject: Signing.subject("test", "odd"),
    publicKey,
    validFromMs: nowMs - 60_000,
    validToMs,
    extensions: [...extensions, Signing.authorityKeyId(issuer.keyId)]
  }, createPrivateKey(Redacted.value(authority.key)))
  const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString()
  return { certificate, key: Redacted.make(key), validToMs }
}

/** A cluster's authority and what it issues, most of it wrong in one way. `nowMs` is the time at which tests use it. */
export const makeKit = (nowMs: number, cluster = "test") => {
  const authority = Result.getOrThrow(makeAuthority({ cluster, nowMs }))
  const give = (name: CertificateName, hosts: ReadonlyArray<string>, atMs = nowMs, days = 1) =>
    Result.getOrThrow(issue(authority, { name, hosts, days, nowMs: atMs }))
  const local = ["localhost", "127.0.0.1", "::1"]
  const localNames: ReadonlyArray<AltName> = [{ dns: "localhost" }, { address: Uint8Array.of(127, 0, 0, 1) }]
  const odd = (names: ReadonlyArray<AltName>) =>
    issueOdd(authority, leafExtensions([...names, ...localNames], "serverAuth", "clientAuth"), nowMs)
  return {
    authority,
    /** A good one. */
    node: (id: number, hosts: ReadonlyArray<string> = local) => give(node(id, cluster), hosts),
    /** A good one. */
    client: (name: string) => give(client(name, cluster), []),
    /** It was valid for a day, ten days ago. */
    expired: (name: CertificateName) => give(name, local, nowMs - 10 * dayMs),
    /** It becomes valid in ten days. */
    notYetValid: (name: CertificateName) => give(name, local, nowMs + 10 * dayMs),
    /** A client's, with the hosts and the use of a server. */
    clientAsServer: (name: string) => odd([{ uri: `flaredb://${cluster}/client/${name}` }]),
    /** Of this authority, without a name of FlareDB. */
    nameless: () => odd([]),
    /** With two names, so that it does not say who its holder is. */
    twoNames: () => odd([{ uri: `flaredb://${cluster}/node/1` }, { uri: `flaredb://${cluster}/node/2` }]),
    /** With a name that OpenSSL writes in quotes, because it has a comma in it. */
    quotedName: () => odd([{ dns: `a, URI:flaredb://${cluster}/node/1` }]),
    /** With a URI of ours that is not well-formed. */
    malformedName: () => odd([{ uri: `flaredb://${cluster}/node/01` }]),
    /** For a node, by another authority of the same cluster's name. */
    ofOtherAuthority: (name: CertificateName) =>
      Result.getOrThrow(
        issue(Result.getOrThrow(makeAuthority({ cluster, nowMs })), { name, hosts: local, days: 1, nowMs })
      ),
    /** Made by itself. */
    selfSigned: () => {
      const { certificate, key, validToMs } = Result.getOrThrow(makeAuthority({ cluster, nowMs }))
      return { certificate, key, validToMs }
    }
  }
}

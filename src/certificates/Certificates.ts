/** What certificates say: read from PEM, for those who show them, renew them, or hold them against each other. */
import { Result } from "effect"
import type { X509Certificate } from "node:crypto"
import { certificateName } from "../net/tls/CertificateCheck.ts"
import type { CertificateName } from "../net/tls/CertificateName.ts"
import { certificatesIn } from "../net/tls/PemBlocks.ts"
import { CertificateProblem } from "./Authority.ts"
import { normalHost } from "./Hosts.ts"

/** The certificates of a PEM text, in their order. Fails when there is none, or one that cannot be read. */
export const parsePem = (text: string): Result.Result<ReadonlyArray<X509Certificate>, CertificateProblem> =>
  Result.mapError(certificatesIn(text), (problem) => new CertificateProblem({ field: "certificate", problem }))

/** Whether `authority` has issued `certificate`: by its name, and by its signature. */
export const isIssuedBy = (certificate: X509Certificate, authority: X509Certificate): boolean =>
  certificate.checkIssued(authority) && certificate.verify(authority.publicKey)

/** Its subject or issuer on one line, with the most general part first. */
const distinguishedName = (text: string | undefined): string => (text ?? "").split("\n").join(", ")

/** The hosts that a certificate is valid for; `undefined` when its names could be read in several ways. */
export const hostsOf = ({ subjectAltName = "" }: X509Certificate): ReadonlyArray<string> | undefined =>
  subjectAltName.includes(`"`)
    ? undefined
    : subjectAltName.split(", ").flatMap((entry) => {
      const [, host] = /^(?:DNS|IP Address):(.*)$/.exec(entry) ?? []
      return host === undefined ? [] : [normalHost(host)]
    })

/** Who holds a certificate, or why that cannot be said. */
export const holderOf = (certificate: X509Certificate): Result.Result<CertificateName, string> => {
  const name = certificateName(certificate)
  return "_tag" in name ? Result.fail(name.problem) : Result.succeed(name)
}

/** What there is to show of a certificate. Times are milliseconds since 1970. */
export interface CertificateFacts {
  readonly subject: string
  readonly issuer: string
  readonly isAuthority: boolean
  /** Who holds it; absent for an authority, and where it has no such name. */
  readonly name: CertificateName | undefined
  readonly hosts: ReadonlyArray<string>
  readonly validFromMs: number
  readonly validToMs: number
  readonly serialNumber: string
  /** SHA-256 of the certificate, in hex with colons. */
  readonly fingerprint: string
}

export const factsOf = (certificate: X509Certificate): CertificateFacts => ({
  subject: distinguishedName(certificate.subject),
  issuer: distinguishedName(certificate.issuer),
  isAuthority: certificate.ca,
  name: Result.getOrUndefined(holderOf(certificate)),
  hosts: hostsOf(certificate) ?? [],
  validFromMs: Date.parse(certificate.validFrom),
  validToMs: Date.parse(certificate.validTo),
  serialNumber: certificate.serialNumber,
  fingerprint: certificate.fingerprint256
})

const uses = { serverAuth: "1.3.6.1.5.5.7.3.1", clientAuth: "1.3.6.1.5.5.7.3.2" } as const

/** The uses that a holder's certificate lacks, so that the other side of a connection refuses it. */
export const missingUses = (
  certificate: X509Certificate,
  kind: CertificateName["kind"]
): ReadonlyArray<keyof typeof uses> => {
  const needed = kind === "node" ? ["serverAuth", "clientAuth"] as const : ["clientAuth"] as const
  // Node's types do not say that it is absent where a certificate does not restrict its use.
  const given = certificate.keyUsage as ReadonlyArray<string> | undefined
  return given === undefined ? [] : needed.filter((use) => !given.includes(uses[use]))
}

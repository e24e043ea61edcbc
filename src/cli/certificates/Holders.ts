/** The certificates of nodes and clients as they lie in folders: who holds them, for which hosts, and by whom. */
import { Effect, Result } from "effect"
import type { X509Certificate } from "node:crypto"
import { validToMs } from "../../certificates/Authority.ts"
import { holderOf, hostsOf, isIssuedBy } from "../../certificates/Certificates.ts"
import type { CertificateName } from "../../net/tls/CertificateName.ts"
import type { Failure } from "../output/Failure.ts"
import { failed } from "../output/Failure.ts"
import type { HolderFiles } from "./CertificateFolder.ts"
import { readCertificates } from "./CertificateFolder.ts"

/** The certificate in a holder's folder. */
export interface Held {
  readonly files: HolderFiles
  readonly certificate: X509Certificate
  readonly name: CertificateName
  readonly hosts: ReadonlyArray<string>
  readonly validToMs: number
}

/** Reads a holder's certificate. Fails when it does not say who its holder is. */
export const readHeld = Effect.fnUntraced(function*(files: HolderFiles): Effect.fn.Return<Held, Failure> {
  const [certificate] = yield* readCertificates(files.certificate)
  if (certificate === undefined) return yield* failed(`${files.certificate}: it is empty`)
  const name = holderOf(certificate)
  if (Result.isFailure(name)) return yield* failed(`${files.certificate}: ${name.failure}`)
  // A name that is quoted is no holder's either.
  const hosts = hostsOf(certificate) ?? []
  return { files, certificate, name: name.success, hosts, validToMs: validToMs(certificate) }
})

/** Whether one of `authorities` has issued it. */
export const isHeldFrom = ({ certificate }: Held, authorities: ReadonlyArray<X509Certificate>): boolean =>
  authorities.some((authority) => isIssuedBy(certificate, authority))

/** Who is at the other end of a connection, as far as TLS says. */
import type { CertificateName } from "./CertificateName.ts"

export type Remote =
  /** The connection is not encrypted, and nothing is known. */
  | { readonly _tag: "Plain" }
  /** Encrypted, and the other side showed no certificate. */
  | { readonly _tag: "Anonymous" }
  /** The other side proved that it has the key of a certificate that was checked. */
  | { readonly _tag: "Named"; readonly name: CertificateName }

export const plain: Remote = { _tag: "Plain" }

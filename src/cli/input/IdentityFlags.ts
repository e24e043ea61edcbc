/** What a command shows a cluster: certificates and a token, from flags and variables. */
import type { Scope } from "effect"
import { Config, Effect, Option, Redacted } from "effect"
import { Flag } from "effect/cli"
import { certificatesFromFiles, filesInFolder, tokenFromFile } from "../../client/CertificateFiles.ts"
import type { ClientOptions } from "../../client/ClientOptions.ts"
import { flagOf } from "../../config/Setting.ts"
import type { Failure } from "../output/Failure.ts"
import { failureOf, wrongUsage } from "../output/Failure.ts"

const path = (flag: string, metavar: string, variable: string, text: string) =>
  Flag.String(flag).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(`${text} (${variable})`),
    Flag.withFallbackConfig(Config.String(variable)),
    Flag.optional
  )

export const identityFlags = {
  certsDir: path(
    "certs-dir",
    "DIR",
    "FLAREDB_CERTS_DIR",
    "folder with ca.crt, and client.crt and client.key where there are any; default none, and connections are plain"
  ),
  trustedCaFile: path(
    "trusted-ca-file",
    "FILE",
    "FLAREDB_TRUSTED_CA_FILE",
    "authorities of the cluster; default ca.crt of --certs-dir"
  ),
  certFile: path("cert-file", "FILE", "FLAREDB_CERT_FILE", "certificate to show; default client.crt of --certs-dir"),
  keyFile: path("key-file", "FILE", "FLAREDB_KEY_FILE", "its key; default client.key of --certs-dir"),
  tokenFile: path(
    "token-file",
    "FILE",
    "FLAREDB_TOKEN_FILE",
    "file with the token to show; default the variable FLAREDB_TOKEN, or none"
  )
}

export interface IdentityFlags {
  readonly certsDir: Option.Option<string>
  readonly trustedCaFile: Option.Option<string>
  readonly certFile: Option.Option<string>
  readonly keyFile: Option.Option<string>
  readonly tokenFile: Option.Option<string>
}

/** Where certificates and token are. It is plain text, for processes that this one starts. */
export interface IdentityFiles {
  readonly authorities?: string | undefined
  readonly certificate?: string | undefined
  readonly key?: string | undefined
  readonly tokenFile?: string | undefined
}

/** The files that flags and variables name. */
export const identityFiles = (flags: IdentityFlags): Effect.Effect<IdentityFiles, Failure> => {
  const { certFile, certsDir, keyFile, tokenFile, trustedCaFile } = flags
  for (const [name, value] of Object.entries({ certsDir, trustedCaFile, certFile, keyFile, tokenFile })) {
    if (Option.isSome(value) && value.value === "") {
      return Effect.fail(wrongUsage(`the path of --${flagOf(name)} is empty`))
    }
  }
  if (Option.isSome(certFile) !== Option.isSome(keyFile)) {
    return Effect.fail(wrongUsage("--cert-file and --key-file belong together; give both, or neither"))
  }
  const folder: IdentityFiles = Option.isSome(certsDir) ? filesInFolder(certsDir.value) : {}
  const files: IdentityFiles = {
    authorities: Option.getOrElse(trustedCaFile, () => folder.authorities),
    certificate: Option.getOrElse(certFile, () => folder.certificate),
    key: Option.getOrElse(keyFile, () => folder.key),
    tokenFile: Option.getOrUndefined(tokenFile)
  }
  return files.authorities === undefined && files.certificate !== undefined
    ? Effect.fail(wrongUsage("--cert-file needs --trusted-ca-file, or a node could not be told from a stranger"))
    : Effect.succeed(files)
}

/** The client's settings that follow from these files and from `FLAREDB_TOKEN`. Files are followed within the scope. */
export const identityOptions = Effect.fnUntraced(function*(
  { authorities, certificate, key, tokenFile }: IdentityFiles
): Effect.fn.Return<Pick<ClientOptions, "tls" | "token">, Failure, Scope.Scope> {
  const tls = authorities === undefined
    ? undefined
    : yield* Effect.mapError(certificatesFromFiles({ authorities, certificate, key }), failureOf)
  // A file that cannot be used is wrong usage before anything is dialled; later it is a refused connection.
  if (tokenFile !== undefined) yield* Effect.mapError(tokenFromFile(tokenFile), ({ reason }) => wrongUsage(reason))
  const variable = process.env["FLAREDB_TOKEN"]
  const token = tokenFile !== undefined
    ? tokenFromFile(tokenFile)
    : variable === undefined || variable === ""
    ? undefined
    : Redacted.make(variable.trim(), { label: "token" })
  return { tls, token }
})

/**
 * Who a certificate is for. It stands in the certificate's one URI name, so that neither host names nor addresses say
 * who somebody is:
 *
 * ```
 * flaredb://CLUSTER/node/ID        a node of the cluster
 * flaredb://CLUSTER/client/NAME    a client
 * ```
 */

export type CertificateName =
  | { readonly kind: "node"; readonly cluster: string; readonly node: number }
  | { readonly kind: "client"; readonly cluster: string; readonly client: string }

const scheme = "flaredb://"

const shape = /^flaredb:\/\/([A-Za-z0-9._-]{1,64})\/(?:node\/([1-9][0-9]{0,8})|client\/([A-Za-z0-9._-]{1,64}))$/

export const formatCertificateName = (name: CertificateName): string =>
  name.kind === "node"
    ? `${scheme}${name.cluster}/node/${name.node}`
    : `${scheme}${name.cluster}/client/${name.client}`

/** Whether a URI claims to be such a name, well-formed or not. */
export const isFlareDbUri = (uri: string): boolean => uri.startsWith(scheme)

/** The name in a URI; `undefined` when it is none. */
export const parseCertificateName = (uri: string): CertificateName | undefined => {
  const [, cluster, node, client] = shape.exec(uri) ?? []
  if (cluster === undefined) return undefined
  if (node !== undefined) return { kind: "node", cluster, node: Number(node) }
  return client === undefined ? undefined : { kind: "client", cluster, client }
}

/**
 * The manifests in `deploy/kubernetes`, without a cluster: valid by the schemas of Kubernetes, of one piece, and with
 * settings and certificates that FlareDB takes.
 */
import { ConfigProvider, Effect } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { unknownVariables } from "../../src/config/UnknownVariables.ts"
import { fromEnv } from "../../src/config/Variables.ts"
import { parseCertificateName } from "../../src/net/tls/CertificateName.ts"
import { kustomizationOf, manifestsIn, only, problemsOfObject, root } from "./Manifests.ts"
import type { Part } from "./Manifests.ts"

const base = manifestsIn("deploy/kubernetes/base")
const certManager = manifestsIn("deploy/kubernetes/cert-manager")
const set = only(base, "StatefulSet")
const pod = set.spec.template.spec
const [container] = pod.containers
const job = only(base, "CronJob").spec.jobTemplate.spec.template
const settings: Record<string, string> = only(base, "ConfigMap").data
const nodeIds = Array.from({ length: set.spec.replicas }, (_, ordinal) => ordinal + 1)

const configOf = (nodeId: number) =>
  Effect.runSync(Effect.provideService(
    fromEnv,
    ConfigProvider.ConfigProvider,
    ConfigProvider.fromEnv({ env: { ...settings, FLAREDB_NODE_ID: String(nodeId) } })
  ))

const isPartOf = (part: Part, whole: Part): boolean =>
  Object.entries(part).every(([name, value]) => whole[name] === value)

describe("the manifests", () => {
  it.each(base.map(({ content, file }) => [`${content.kind} in ${file}`, content] as const))(
    "are valid: %s",
    (_, content) => assert.deepEqual(problemsOfObject(content), [])
  )

  it("are held to the schemas: each of these mistakes is found", () => {
    const mistakes: ReadonlyArray<readonly [problem: string, mistake: (copy: Part) => void]> = [
      ["/spec/replica is no field", (copy) => copy.spec.replica = 3],
      ["/spec/replicas is no integer", (copy) => copy.spec.replicas = "3"],
      ["/spec/selector is missing", (copy) => delete copy.spec.selector],
      [
        "/containers/0/securitycontext is no field",
        (copy) => copy.spec.template.spec.containers[0].securitycontext = {}
      ],
      [
        "/ports/0/containerPort is missing",
        (copy) => delete copy.spec.template.spec.containers[0].ports[0].containerPort
      ],
      ["memory is none of", (copy) => copy.spec.template.spec.containers[0].resources.limits.memory = "2 GB"],
      ["there is no schema", (copy) => copy.apiVersion = "apps/v2"]
    ]
    for (const [problem, mistake] of mistakes) {
      const copy = structuredClone(set)
      mistake(copy)
      const found = problemsOfObject(copy)
      assert.lengthOf(found, 1, problem)
      assert.include(found[0], problem)
    }
  })

  it("are all listed, and nothing else is", () => {
    for (const [folder, manifests, more] of [["base", base, []], ["cert-manager", certManager, ["../base"]]] as const) {
      const { apiVersion, kind, resources } = kustomizationOf(`deploy/kubernetes/${folder}`)
      assert.deepEqual([apiVersion, kind], ["kustomize.config.k8s.io/v1beta1", "Kustomization"])
      assert.sameMembers(resources, [...more, ...new Set(manifests.map(({ file }) => file))])
    }
  })

  it("run the image that the kustomization names, in the namespace that is made", () => {
    const { images, namespace } = kustomizationOf("deploy/kubernetes/base")
    assert.strictEqual(only(base, "Namespace").metadata.name, namespace)
    assert.strictEqual(images[0].newTag, JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version)
    for (const { image } of [container, job.spec.containers[0]]) assert.strictEqual(image, images[0].name)
    for (const { content } of certManager) assert.strictEqual(content.metadata.namespace, namespace)
  })
})

describe("the pods", () => {
  it("are those that services, policy and budget mean", () => {
    const { labels } = set.spec.template.metadata
    const selectors = [
      set.spec.selector.matchLabels,
      only(base, "Service").spec.selector,
      only(base, "PodDisruptionBudget").spec.selector.matchLabels,
      only(base, "NetworkPolicy").spec.podSelector.matchLabels,
      pod.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector.matchLabels,
      pod.topologySpreadConstraints[0].labelSelector.matchLabels
    ]
    for (const selector of selectors) {
      assert.isTrue(isPartOf(selector, labels), JSON.stringify(selector))
      assert.isFalse(isPartOf(selector, job.metadata.labels), "the pod of a backup is no node")
    }
    assert.strictEqual(set.spec.serviceName, only(base, "Service").metadata.name)
    assert.strictEqual(pod.serviceAccountName, only(base, "ServiceAccount").metadata.name)
  })

  it("find each other before they are ready, and never lose two at a time", () => {
    const service = only(base, "Service").spec
    assert.deepEqual([service.clusterIP, service.publishNotReadyAddresses], ["None", true])
    assert.strictEqual(set.spec.podManagementPolicy, "Parallel")
    assert.strictEqual(only(base, "PodDisruptionBudget").spec.maxUnavailable, 1)
    const [apart] = pod.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution
    assert.strictEqual(apart.topologyKey, "kubernetes.io/hostname")
  })

  it("may do nothing that they need not", () => {
    for (const { containers, securityContext, ...spec } of [pod, job.spec]) {
      assert.deepInclude(securityContext, {
        runAsNonRoot: true,
        fsGroupChangePolicy: "OnRootMismatch",
        seccompProfile: { type: "RuntimeDefault" }
      })
      assert.isFalse(spec.automountServiceAccountToken)
      assert.deepEqual(containers[0].securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] }
      })
      assert.isDefined(containers[0].resources.limits.memory)
    }
  })

  it("mount what is there", () => {
    const claims = set.spec.volumeClaimTemplates.map((claim: Part) => claim.metadata.name)
    for (const [spec, more] of [[pod, claims], [job.spec, []]] as const) {
      const mounts = spec.containers[0].volumeMounts.map((mount: Part) => mount.name)
      assert.sameMembers(mounts, [...more, ...spec.volumes.map((volume: Part) => volume.name)])
    }
    const data = container.volumeMounts.find((mount: Part) => mount.name === "data")
    assert.isTrue(settings["FLAREDB_DATA_DIR"]?.startsWith(`${data.mountPath}/`))
    assert.strictEqual(
      job.spec.volumes[1].persistentVolumeClaim.claimName,
      only(base, "PersistentVolumeClaim").metadata.name
    )
    const [{ args, volumeMounts }] = job.spec.containers
    assert.deepEqual(args.slice(0, 3), ["backups", "run", "--once"])
    const folder = args.find((word: string) => word.startsWith("--dir="))?.slice("--dir=".length)
    assert.strictEqual(volumeMounts.find((mount: Part) => mount.name === "backups").mountPath, folder)
  })

  it("are asked at paths and ports that a node has", () => {
    const paths = { startupProbe: "/livez", livenessProbe: "/livez", readinessProbe: "/readyz" }
    for (const [probe, path] of Object.entries(paths)) {
      const { port, ...get } = container[probe].httpGet
      assert.deepEqual(get, { path, scheme: "HTTPS" })
      assert.include(container.ports.map((each: Part) => each.name), port)
    }
    const named = Object.fromEntries(container.ports.map((port: Part) => [port.name, port.containerPort]))
    const { clientPort, httpPort, peerPort } = configOf(1).nodes[0] as Part
    assert.deepEqual(named, { client: clientPort, peer: peerPort, http: httpPort })
    assert.deepEqual(
      Object.fromEntries(only(base, "Service").spec.ports.map((port: Part) => [port.name, port.port])),
      named
    )
  })
})

describe("the settings", () => {
  it("are a node's, and the same for three of them", () => {
    assert.deepEqual(unknownVariables(settings), [])
    for (const id of nodeIds) {
      const config = configOf(id)
      assert.deepEqual(config.nodes.map((node) => node.id), nodeIds)
      assert.strictEqual(config.listenHost, "0.0.0.0")
    }
    const { namespace } = kustomizationOf("deploy/kubernetes/base")
    assert.deepEqual(
      configOf(1).nodes.map(({ host }) => host),
      nodeIds.map((id) => `${set.metadata.name}-${id - 1}.${set.spec.serviceName}.${namespace}.svc`)
    )
  })

  it("of a backup are the command line's", () => {
    const env = Object.fromEntries(job.spec.containers[0].env.map((each: Part) => [each.name, each.value]))
    assert.deepEqual(unknownVariables(env), [])
    assert.strictEqual(
      env["FLAREDB_ENDPOINTS"],
      configOf(1).nodes.map(({ clientPort, host }) => `${host}:${clientPort}`).join(",")
    )
  })
})

describe("the certificates", () => {
  const issued = certManager.filter(({ content }) => content.kind === "Certificate" && content.spec.isCA !== true)
    .map(({ content }) => content.spec)
  const secretOf = (name: string) => issued.find((spec) => spec.secretName === name)

  it("of each node are where it looks for them", () => {
    const { projected } = pod.volumes.find((volume: Part) => volume.name === "certs")
    // Readable for the group of the pod and for no other: that is what a node takes from root.
    assert.strictEqual(projected.defaultMode, 0o440)
    projected.sources.forEach(({ secret }: Part, i: number) => {
      assert.deepEqual(
        secret.items.map((item: Part) => [item.key, item.path]),
        [["ca.crt", "ca.crt"], ["tls.crt", "node.crt"], ["tls.key", "node.key"]]
          .map(([key, file]) => [key, `node-${i + 1}/${file}`])
      )
      const { dnsNames, uris, usages } = secretOf(secret.name) as Part
      assert.deepEqual(uris.map(parseCertificateName), [{
        kind: "node",
        cluster: settings["FLAREDB_CLUSTER_ID"],
        node: i + 1
      }])
      assert.deepEqual(dnsNames, [configOf(1).nodes[i]?.host])
      assert.sameMembers(usages, ["digital signature", "server auth", "client auth"])
    })
    assert.lengthOf(projected.sources, nodeIds.length)
  })

  it("of clients name them, and open no peer port", () => {
    const clients = issued.filter((spec) => spec.dnsNames === undefined)
    const names = clients.map(({ uris, usages }) => {
      assert.sameMembers(usages, ["digital signature", "client auth"])
      return parseCertificateName(uris[0])
    })
    assert.deepEqual(
      names,
      ["admin", "backup", "prometheus"].map((client) => ({
        kind: "client",
        cluster: settings["FLAREDB_CLUSTER_ID"] ?? "",
        client
      }))
    )
    const { secret } = job.spec.volumes.find((volume: Part) => volume.name === "certs")
    assert.include(clients.map((spec) => spec.secretName), secret.secretName)
    assert.deepEqual(secret.items.map((item: Part) => item.path), ["ca.crt", "client.crt", "client.key"])
  })

  it("are on an elliptic curve, and signed by the authority that lasts longer", () => {
    const authority = certManager.find(({ content }) => content.spec.isCA === true)?.content
    const issuer = certManager.find(({ content }) => content.spec.ca !== undefined)?.content
    assert.strictEqual(issuer.spec.ca.secretName, authority.spec.secretName)
    for (const { issuerRef, privateKey } of issued) {
      assert.deepEqual([privateKey.algorithm, privateKey.size], ["ECDSA", 256])
      assert.deepEqual(issuerRef, { kind: "Issuer", name: issuer.metadata.name })
    }
  })
})

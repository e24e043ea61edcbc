# As much of nixpkgs as FlareDB's flake uses, with the same names and shapes, so that the flake can be evaluated without
# a network. Packages are paths that name themselves; a shell application is the script that nixpkgs would write.
{
  description = "A stand-in for nixpkgs";

  outputs =
    { self }:
    let
      lib = import ./lib.nix;

      exports =
        variables:
        builtins.concatStringsSep "" (
          map (name: "export ${name}=\"${variables.${name}}\"\n") (builtins.attrNames variables)
        );

      packagesFor =
        system:
        let
          package = name: {
            inherit name;
            outPath = "/nixpkgs-stub/${system}/${name}";
          };
          # A derivation that nothing builds, with what it was given beside it.
          make =
            attributes: inputs:
            derivation {
              inherit system;
              name = attributes.name or "${attributes.pname}-${attributes.version}";
              builder = "/bin/sh";
              args = [
                "-c"
                (builtins.toJSON inputs)
              ];
            }
            // {
              given = attributes;
            };
          pkgs = {
            inherit lib;
            stdenv = {
              hostPlatform.isLinux = builtins.match ".*-linux" system != null;
              cc.cc.lib = package "gcc-lib";
            };
            nodejs_24 = package "nodejs-24";
            coreutils = package "coreutils";
            findutils = package "findutils";
            util-linux = package "util-linux";
            makeWrapper = package "make-wrapper";
            rocksdb = package "rocksdb" // {
              tools = package "rocksdb-tools";
            };
            runtimeShell = "/bin/sh";
            callPackage = file: more: let build = import file; in build (builtins.intersectAttrs (builtins.functionArgs build) pkgs // more);
            cacert = package "cacert";
            # The lock with a file for each package: here how it is made in place of the file.
            importNpmLock = {
              npmConfigHook = package "npm-config-hook";
              __functor =
                _:
                {
                  npmRoot,
                  package,
                  packageLock,
                  packageSourceOverrides,
                }:
                {
                  inherit package packageLock;
                  sources = lib.mapAttrs (_: source: source.given) packageSourceOverrides;
                };
            };
            buildNpmPackage = attributes: make attributes { inherit (attributes) installPhase installCheckPhase; };
            runCommand =
              name: attributes: script:
              make ({ inherit name script; } // attributes) { inherit script; };
            testers.runNixOSTest =
              test:
              make test { inherit (test) testScript; }
              // {
                nodes = lib.mapAttrs (_: lib.evalConfig pkgs) test.nodes;
                # For settings that no machine of the test has.
                evalNode = lib.evalConfig pkgs;
                inherit (test) testScript;
              };
            # (Reading one of these back executable needs a builder; nixpkgs has one, and `toFile` none.)
            writeShellScript =
              name: text:
              builtins.toFile name ''
                #!/bin/sh
                ${text}
              '';
            mkShell =
              attributes:
              derivation (
                attributes
                // {
                  inherit system;
                  name = "nix-shell";
                  builder = "/bin/sh";
                  packages = map (each: "${each}") attributes.packages;
                }
              );
            writeShellApplication =
              {
                name,
                runtimeInputs,
                runtimeEnv,
                text,
              }:
              {
                inherit name;
                outPath = builtins.toFile name ''
                  set -o errexit
                  set -o nounset
                  set -o pipefail
                  ${exports runtimeEnv}
                  export PATH="${builtins.concatStringsSep ":" (map (each: "${each}/bin") runtimeInputs)}:$PATH"
                  ${text}
                '';
              };
          };
        in
        pkgs;
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
        "aarch64-darwin"
      ] packagesFor;
    };
}

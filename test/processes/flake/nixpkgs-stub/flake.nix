# As much of nixpkgs as FlareDB's flake uses, with the same names and shapes, so that the flake can be evaluated without
# a network. Packages are paths that name themselves; a shell application is the script that nixpkgs would write.
{
  description = "A stand-in for nixpkgs";

  outputs =
    { self }:
    let
      lib = {
        genAttrs = names: make: builtins.listToAttrs (map (name: { inherit name; value = make name; }) names);
        optionalAttrs = condition: attributes: if condition then attributes else { };
        makeLibraryPath = packages: builtins.concatStringsSep ":" (map (package: "${package}/lib") packages);
      };

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
        in
        {
          inherit lib;
          stdenv = {
            hostPlatform.isLinux = builtins.match ".*-linux" system != null;
            cc.cc.lib = package "gcc-lib";
          };
          nodejs_24 = package "nodejs-24";
          rocksdb = package "rocksdb" // {
            tools = package "rocksdb-tools";
          };
          runtimeShell = "/bin/sh";
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
    {
      inherit lib;
      legacyPackages = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
        "aarch64-darwin"
      ] packagesFor;
    };
}

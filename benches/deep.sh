#!/bin/sh
# Prints a network of N dense layers (default 200), to time the compiler: benches/deep.sh 400 > deep.opt; optc bench deep.opt
n=${1:-200}
cat <<'HEAD'
use layers.{Dense, flatten}
use losses.cross_entropy
use optimizers.AdamW

data digits = synthetic.digits(train = 256, test = 0, seed = 1)

model Deep()(image: float[N, 28, 28]) -> float[N, 10] {
  let h0 = flatten(image)
HEAD
i=0
while [ "$i" -lt $((n - 1)) ]; do
    echo "  let h$((i + 1)) = h$i |> Dense(64) |> relu"
    i=$((i + 1))
done
echo "  Dense(10)(h$i)"
cat <<'TAIL'
}

train deep() on digits {
  batch = 32; epochs = 1; seed = 1

  let net = Deep()

  step(image, label) {
    minimize cross_entropy(net(image), label) with AdamW(1e-3)
  }
}
TAIL

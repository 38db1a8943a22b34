"""The students' two networks in PyTorch and in Keras on TensorFlow, as one would write them there.

Both take the weights of mashjax and what `train_step.py` calls a problem, and are given what makes
them fast: fused Adam, cuDNN where there is a GPU, graph mode, no mask where the window is
longer than the piece.
"""

import os

import numpy as np


class Torch:
    """`nn.LSTM`, `scaled_dot_product_attention`, `Adam(fused=True)`; bfloat16 by autocast."""

    def __init__(self, problem, *, dtype: str):
        import torch
        from torch import nn

        network = problem.network

        class EncoderDecoder(nn.Module):
            def __init__(self):
                super().__init__()
                hidden, bins = network.hidden, problem.bins
                self.embed = nn.Linear(bins, network.embedding)
                self.encoder = nn.LSTM(network.embedding, hidden, batch_first=True)
                self.query_key_value = nn.Linear(2 * hidden, 3 * network.attention, bias=False)
                self.bridge = nn.Linear(2 * hidden + network.attention, hidden)
                self.first_h = nn.Linear(2 * hidden, hidden)
                self.first_c = nn.Linear(2 * hidden, hidden)
                self.decoder = nn.LSTM(hidden, hidden, batch_first=True)
                self.hidden = nn.Linear(2 * hidden + 2 * bins, network.head)
                self.head = nn.Linear(network.head, bins)

            def forward(self, song1, song2, near):
                batch = song1.shape[0]
                embedded = torch.relu(self.embed(torch.cat([song1, song2])))
                encoded, (h, c) = self.encoder(embedded)
                encoded = torch.cat([encoded[:batch], encoded[batch:]], -1)
                query, key, value = self.query_key_value(encoded)[:, None].chunk(3, -1)
                attended = nn.functional.scaled_dot_product_attention(
                    query, key, value, attn_mask=near
                )[:, 0]
                bridged = torch.relu(self.bridge(torch.cat([encoded, attended], -1)))
                h, c = (torch.cat([x[:, :batch], x[:, batch:]], -1) for x in (h, c))
                first = torch.tanh(self.first_h(h)), self.first_c(c)
                decoded, _ = self.decoder(bridged, first)
                seen = torch.cat([decoded, bridged, song1, song2], -1)
                return self.head(torch.relu(self.hidden(seen)))

        self.torch, self.half = torch, dtype == "bfloat16"
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.set_num_threads(os.cpu_count())
        if self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.half
        self.networks = nn.ModuleDict({name: EncoderDecoder() for name in problem.params})
        with torch.no_grad():
            for name, params in problem.params.items():
                _fill_torch(torch, self.networks[name], params)
        self.networks.to(self.device)
        self.features = {
            name: [self._put(song) for song in songs] for name, songs in problem.features.items()
        }
        self.labels = {name: self._put(label) for name, label in problem.labels.items()}
        near = problem.near()
        self.near = None if near.all() else self._put(near)
        self.adam = torch.optim.Adam(self.networks.parameters(), problem.learning_rate, fused=True)

    def said(self) -> dict[str, np.ndarray]:
        with self.torch.no_grad():
            return {name: said.float().cpu().numpy() for name, said in self._said().items()}

    def step(self) -> float:
        self.adam.zero_grad(set_to_none=True)
        said = {name: said.float() for name, said in self._said().items()}
        torch, labels = self.torch, self.labels
        magnitude = torch.mean((said["magnitude"] - labels["magnitude"]) ** 2)
        turn = torch.pi * torch.tanh(said["phase"]) - labels["phase"]
        loss = magnitude + torch.mean(1 - torch.cos(turn))
        loss.backward()
        self.adam.step()
        return loss.item()

    def _said(self):
        with self.torch.autocast(self.device.type, self.torch.bfloat16, enabled=self.half):
            return {
                name: network(*self.features[name], self.near)
                for name, network in self.networks.items()
            }

    def _put(self, array):
        return self.torch.from_numpy(array).to(self.device)


def _fill_torch(torch, network, params) -> None:
    for name, layer in params.items():
        module = getattr(network, name, None)
        if name in ("encoder", "decoder"):
            layer = layer["forward"]
            module.weight_ih_l0.copy_(torch.from_numpy(layer["kernel"].T))
            module.weight_hh_l0.copy_(torch.from_numpy(layer["recurrent"].T))
            module.bias_ih_l0.copy_(torch.from_numpy(layer["bias"]))
            module.bias_hh_l0.zero_()
        elif name == "attention":
            kernel = layer["query_key_value"]["kernel"]
            network.query_key_value.weight.copy_(torch.from_numpy(kernel.T))
        else:
            module.weight.copy_(torch.from_numpy(layer["kernel"].T))
            module.bias.copy_(torch.from_numpy(layer["bias"]))


class Keras:
    """`layers.LSTM` and `ops.dot_product_attention`, the whole step in one `tf.function`."""

    def __init__(self, problem, *, dtype: str):
        os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
        import keras
        import tensorflow as tf
        from keras import layers, ops

        keras.mixed_precision.set_dtype_policy(
            "mixed_bfloat16" if dtype == "bfloat16" else "float32"
        )
        network, (batch, frames) = problem.network, problem.shape
        near = None if problem.near().all() else tf.constant(problem.near()[None, None])

        def encoder_decoder(params) -> keras.Model:
            made = {}

            def lstm(name):
                made[name] = layers.LSTM(network.hidden, return_sequences=True, return_state=True)
                return made[name]

            def dense(name, units, **options):
                made[name] = layers.Dense(units, **options)
                return made[name]

            song1, song2 = (keras.Input((frames, problem.bins), batch) for _ in range(2))
            embed = dense("embed", network.embedding, activation="relu")
            encoded, h, c = lstm("encoder")(embed(ops.concatenate([song1, song2], 0)))
            encoded = ops.concatenate(ops.split(encoded, 2, 0), -1)
            query_key_value = dense("query_key_value", 3 * network.attention, use_bias=False)
            query, key, value = ops.split(query_key_value(encoded)[:, :, None], 3, -1)
            attended = ops.dot_product_attention(query, key, value, mask=near)[:, :, 0]
            bridge = dense("bridge", network.hidden, activation="relu")
            bridged = bridge(ops.concatenate([encoded, attended], -1))
            h, c = (ops.concatenate(ops.split(x, 2, 0), -1) for x in (h, c))
            first_h = dense("first_h", network.hidden, activation="tanh")
            first = [first_h(h), dense("first_c", network.hidden)(c)]
            decoded, _, _ = lstm("decoder")(bridged, initial_state=first)
            seen = ops.concatenate([decoded, bridged, song1, song2], -1)
            said = dense("hidden", network.head, activation="relu")(seen)
            said = dense("head", problem.bins)(said)
            _fill_keras(made, params)
            return keras.Model([song1, song2], said)

        self.networks = {name: encoder_decoder(params) for name, params in problem.params.items()}
        self.features = {
            name: [tf.constant(song) for song in songs] for name, songs in problem.features.items()
        }
        labels = {name: tf.constant(label) for name, label in problem.labels.items()}
        variables = [v for network in self.networks.values() for v in network.trainable_variables]
        adam = keras.optimizers.Adam(problem.learning_rate, epsilon=1e-8)
        adam.build(variables)

        def said():
            return {
                name: tf.cast(network(self.features[name], training=True), tf.float32)
                for name, network in self.networks.items()
            }

        def step():
            with tf.GradientTape() as tape:
                now = said()
                magnitude = tf.reduce_mean((now["magnitude"] - labels["magnitude"]) ** 2)
                turn = np.pi * tf.tanh(now["phase"]) - labels["phase"]
                loss = magnitude + tf.reduce_mean(1 - tf.cos(turn))
            adam.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            return loss

        compiled = bool(tf.config.list_physical_devices("GPU"))
        self._said = tf.function(said, jit_compile=compiled)
        self._step = tf.function(step, jit_compile=compiled)

    def said(self) -> dict[str, np.ndarray]:
        return {name: said.numpy() for name, said in self._said().items()}

    def step(self) -> float:
        return float(self._step())


def _fill_keras(made, params) -> None:
    for name, layer in params.items():
        if name in ("encoder", "decoder"):
            layer = layer["forward"]
            made[name].set_weights([layer["kernel"], layer["recurrent"], layer["bias"]])
        elif name == "attention":
            made["query_key_value"].set_weights([layer["query_key_value"]["kernel"]])
        else:
            made[name].set_weights([layer["kernel"], layer["bias"]])


PEERS = {"PyTorch": Torch, "Keras": Keras}

"""Matrix products in a narrower type than what goes in and comes out.

Everything between the products stays float32, and so do the sums within them: with
dtype="bfloat16" only the factors are rounded, in the gradient's products, too.
"""

import functools

import jax
import jax.numpy as jnp
from flax import nnx


def matmul(x: jax.Array, kernel: jax.Array, *, dtype: str) -> jax.Array:
    """x [..., features] times kernel [features, units]: float32 [..., units]."""
    rows = x.reshape(-1, x.shape[-1])
    return einsum("nf,fu->nu", rows, kernel, dtype).reshape(*x.shape[:-1], kernel.shape[-1])


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 3))
def einsum(subscripts: str, a: jax.Array, b: jax.Array, dtype: str) -> jax.Array:
    """`jnp.einsum` of two factors of which each has an axis only if the other or the result has."""
    return _product(subscripts, a.astype(dtype), b.astype(dtype))


def _product(subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.einsum(subscripts, a, b, preferred_element_type=jnp.float32)


def _forward(subscripts, a, b, dtype):
    a, b = a.astype(dtype), b.astype(dtype)
    return _product(subscripts, a, b), (a, b)


def _backward(subscripts, dtype, factors, d_product):
    a, b = factors
    of_a, of_b, of_product = subscripts.replace("->", ",").split(",")
    d_product = d_product.astype(dtype)
    return (
        _product(f"{of_product},{of_b}->{of_a}", d_product, b),
        _product(f"{of_a},{of_product}->{of_b}", a, d_product),
    )


einsum.defvjp(_forward, _backward)


def dense(layer: nnx.Linear, x: jax.Array, *, dtype: str) -> jax.Array:
    """A layer with a bias, whose product is of the type `dtype`."""
    assert layer.bias is not None, "all layers that are asked have one"
    return matmul(x, layer.kernel[...], dtype=dtype) + layer.bias[...]

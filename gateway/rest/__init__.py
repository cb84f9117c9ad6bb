"""REST: latest values and the state of the gateway, answered from the same memory as the WebSocket."""

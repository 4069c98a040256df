"""The Hugging Face hub: trained models and exported examples go there with a card, and come from there."""
